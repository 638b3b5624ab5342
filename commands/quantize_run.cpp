#include "commands/engine_run.hpp"
#include "commands/gates.hpp"
#include "commands/model_summary.hpp"
#include "commands/quantize.hpp"
#include "commands/quantize_methods_run.hpp"
#include "commands/quantize_output.hpp"
#include "commands/quantize_rounding_run.hpp"
#include "commands/quantize_runtime_run.hpp"
#include "compress/float_search.hpp"
#include "compress/selection.hpp"
#include "compress/static_quantizer.hpp"
#include "src/core/error.hpp"
#include "src/core/progress.hpp"
#include "src/core/table.hpp"
#include "src/exec/memory.hpp"
#include "src/train/agreement.hpp"

namespace pare {
namespace {

// Of those of the calibration, that the written file is compared on where there are no test samples.
constexpr int64_t compared_samples = 32;
// Of --max-drop.
constexpr int evaluations = 8;

class StaticRun {
 public:
  StaticRun(const QuantizeOptions& options, RunContext& context)
      : options_(options),
        context_(context),
        device_(set_up_device(options.compute, context)),
        loaded_(load_executable(options.model)),
        tensorrt_(options.profile == "tensorrt"),
        calibration_(Calibration::parse(options.calibration)),
        names_(select_tensors(loaded_.graph, options.include, options.exclude)) {}

  ExitCode run() {
    context_.report.settings["granularity"] = options_.granularity;
    context_.report.settings["activations"] = options_.activations;
    context_.report.settings["rounding"] = options_.rounding;
    context_.report.settings["equalize"] = options_.equalize;
    context_.report.model = model_json(loaded_.model, loaded_.graph);
    Graph prepared = with_context(options_.model, [&] { return prepare_for_quantization(loaded_.graph); });
    place_all(prepared);
    const auto samples = open_samples(sample_use(options_.data), options_.data.data, options_.data.split);
    if (options_.output.dry_run) return plan(prepared, place_all(prepared), *samples);
    RuntimeCheck runtime(options_, loaded_, device_, context_);
    open_measured(samples, runtime);
    const SampleRuns runs = sample_runs(options_, *samples, device_);
    kept_floats_ = balance_channels(prepared, options_, runs, methods_);
    const QuantPlacement whole = place_all(prepared);
    for (const QuantPlace& place : whole.places) observed_.insert(place.value);
    choices_ = calibrate(
        prepared, whole, calibration_, [&](const QuantPlace& place) { return form(place); }, runs);
    if (options_.rounding == "gptq") learned_ = round(prepared, whole, runs);
    else learned_.weights = nearest(prepared, whole);
    shares_ = measure_noise(prepared, whole, choices_, static_config(), learned_.weights, runs);
    const std::set<ValueId> islands = float_islands(whole, shares_, {}, [&](const std::set<ValueId>& floats) {
      return integer_products(prepared, placed(prepared, floats));
    });
    order_ = float_order(shares_, islands);
    size_t floats = islands.size();
    if (options_.rounding == "adaround") learned_ = learn(prepared, placed(prepared, islands), whole, runs);
    if (const int64_t steps = tuning_steps(options_); steps > 0)
      tune(prepared, placed(prepared, islands), whole, runs, steps);
    bool met = true;
    if (options_.max_drop >= 0) {
      const FloatSearch found = search(prepared, whole, floats, *samples);
      floats = found.floats;
      met = found.met;
    }
    if (options_.bias_correct) correct(prepared, whole, floats, runs);
    const Quantized quantized = quantize(prepared, whole, floats);
    report_layers(prepared, quantized, floats);
    return_freed_memory();
    const QuantizedOutput written = write_quantized(
        loaded_.model, quantized.graph, lineage(), options_.output, [](const Graph&) {}, context_,
        [&](const OnnxModel& model) {
          runtime.require_takes(model);
          // On one sample.
          if (runtime.measures_speedup())
            runs.for_each(loaded_.graph, 1, 1, [&](std::span<const at::Tensor> inputs) { runtime.measure(inputs); });
        });
    methods_["integer_kernels"] = runtime.integer_kernels().is_null() ? planned_kernels(prepared, quantized.placement)
                                                                      : runtime.integer_kernels();
    return_freed_memory();
    report_comparison(written.graph);
    print(quantized.layers, float_products(prepared, quantized.placement));
    return written.smaller && met ? ExitCode::ok : ExitCode::goal_missed;
  }

 private:
  struct Quantized {
    Graph graph;
    QuantPlacement placement;
    std::vector<StaticLayer> layers;
  };

  // Where `floats`, values and weights, stay float, and what would only be rounded because they do: of a sum of two
  // layers TensorRT wants the one rounded that stays float.
  QuantPlacement placed(const Graph& graph, const std::set<ValueId>& floats) const {
    const auto selected = [&](const std::string& name) {
      return names_.contains(name) && !floats.contains(graph.find(name));
    };
    std::set<ValueId> all = kept_floats_;
    all.insert(floats.begin(), floats.end());
    const QuantProfile profile = tensorrt_ ? QuantProfile::tensorrt : QuantProfile::ort;
    for (;;) {
      QuantPlacement placement = place_quantization(graph, selected, profile, all);
      const size_t before = all.size();
      for (const QuantPlace& place : placement.places)
        if (!observed_.empty() && !observed_.contains(place.value)) all.insert(place.value);
      if (all.size() == before) return placement;
    }
  }

  QuantPlacement place_all(const Graph& graph) const {
    QuantPlacement placement = placed(graph, {});
    if (placement.layers.empty())
      fail_input(
          "{}: no layer can be quantized with --profile {}: it has no Conv, Gemm or MatMul with a float32 weight "
          "of its own, or is quantized already",
          options_.model, options_.profile);
    return placement;
  }

  // The chosen codes of the activations, where fewer of them are quantized than in `whole`.
  std::map<ValueId, ActivationCodes> codes_of(const QuantPlacement& placement, const QuantPlacement& whole) const {
    std::map<ValueId, ActivationCodes> codes = chosen_codes(choices_, shares_, placement, whole);
    // Also where a moved value has them.
    for (auto& [value, own] : codes) {
      const QuantPlace* const place = whole.find(value);
      const ValueId origin = place != nullptr && place->same_as != no_value ? place->same_as : value;
      if (const auto tuned = learned_.activations.find(origin); tuned != learned_.activations.end())
        own = tuned->second;
    }
    return codes;
  }

  // With the first `floats` values of the ranking in float.
  Quantized quantize(const Graph& prepared, const QuantPlacement& whole, size_t floats,
                     bool integer_bias = true) const {
    const auto last = order_.begin() + static_cast<std::ptrdiff_t>(floats);
    Quantized result{prepared, placed(prepared, std::set<ValueId>(order_.begin(), last)), {}};
    const std::map<ValueId, ActivationCodes> codes = codes_of(result.placement, whole);
    for (const auto& [bias, tuned] : learned_.biases) result.graph.value(bias).constant = tuned;
    StaticConfig config = static_config();
    config.integer_bias = config.integer_bias && integer_bias;
    result.layers = with_context(options_.model, [&] {
      return quantize_statically(result.graph, result.placement, codes, config, learned_.weights);
    });
    return result;
  }

  // That the activations may have: the weights' scales that are right for them are for all of their codes.
  std::map<ValueId, ActivationCodes> finest_codes() const {
    std::map<ValueId, ActivationCodes> codes;
    for (const auto& [value, choice] : choices_)
      codes[value] = std::min_element(choice.begin(), choice.end(), [](const CodesChoice& a, const CodesChoice& b) {
                       return a.codes.scale < b.codes.scale;
                     })->codes;
    return codes;
  }

  std::map<ValueId, EncodedWeight> nearest(const Graph& prepared, const QuantPlacement& whole) const {
    const std::map<ValueId, ActivationCodes> codes = finest_codes();
    const StaticConfig config = static_config();
    return with_context(options_.model, [&] { return encode_weights(prepared, whole, codes, config); });
  }

  LearnedRounding round(const Graph& prepared, const QuantPlacement& whole, const SampleRuns& runs) const {
    const std::map<ValueId, ActivationCodes> codes = finest_codes();
    const StaticConfig config = static_config();
    return with_context(options_.model, [&] { return round_by_gptq({prepared, whole, codes, config}, runs); });
  }

  LearnedRounding learn(const Graph& prepared, const QuantPlacement& placement, const QuantPlacement& whole,
                        const SampleRuns& runs) {
    const std::map<ValueId, ActivationCodes> codes = codes_of(placement, whole);
    const StaticConfig config = static_config();
    return with_context(options_.model, [&] {
      return round_by_adaround({prepared, placement, codes, config}, options_, runs, context_);
    });
  }

  void tune(const Graph& prepared, const QuantPlacement& placement, const QuantPlacement& whole, const SampleRuns& runs,
            int64_t steps) {
    const std::map<ValueId, ActivationCodes> codes = codes_of(placement, whole);
    const StaticConfig config = static_config();
    with_context(options_.model, [&] {
      tune_rounding({prepared, placement, codes, config}, runs, steps, learned_, context_);
    });
  }

  // Biases are corrected where that brings the outputs on the samples of the calibration nearer.
  void correct(Graph& prepared, const QuantPlacement& whole, size_t floats, const SampleRuns& runs) {
    const Quantized measured = quantize(prepared, whole, floats, false);
    Graph corrected = prepared;
    Json result;
    correct_biases(corrected, measured.graph, measured.placement, runs, result);
    const auto nearness = [&](const Graph& graph) {
      return compare(quantize(graph, whole, floats).graph, runs.samples, runs.samples.size()).snr_db();
    };
    const double before = nearness(prepared), after = nearness(corrected);
    if (after < before) {
      context_.warn(
          fmt::format("--bias-correct: the biases stay, since corrected ones are worse for the outputs on the "
                      "samples ({:.1f} against {:.1f} dB)",
                      after, before));
      result["corrected_biases"] = Json::array();
    } else {
      prepared = std::move(corrected);
    }
    methods_.update(result);
  }

  // Chooses by the samples of the calibration: those of the test only measure the result.
  FloatSearch search(const Graph& prepared, const QuantPlacement& whole, size_t first, const Dataset& samples) {
    const bool classes = classifies(samples);
    const double accuracy = classes ? evaluate(loaded_.graph, samples).metrics.accuracy : 0;
    Progress progress("max-drop", evaluations, progress_style(context_.quiet, stderr));
    int64_t done = 0;
    // Files without any quantized layer are no answer.
    size_t last = order_.size();
    const auto nothing_left = [&](size_t floats) {
      const auto end = order_.begin() + static_cast<std::ptrdiff_t>(floats);
      return placed(prepared, std::set<ValueId>(order_.begin(), end)).layers.empty();
    };
    while (last > first + 1 && nothing_left(last - 1)) --last;
    return search_floats(first, last, options_.max_drop, evaluations, [&](size_t floats) {
      const Graph changed = quantize(prepared, whole, floats).graph;
      const double drop = classes ? accuracy - evaluate(changed, samples).metrics.accuracy
                                  : 1 - compare(changed, samples, samples.size()).cosine();
      progress.update(++done, fmt::format("{} values in float: drop {:.5f}", floats, drop));
      context_.report.history.push_back({{"step", done}, {"floats", floats}, {"drop", drop}});
      return drop;
    });
  }

  void report_layers(const Graph& prepared, const Quantized& quantized, size_t floats) {
    for (const StaticLayer& layer : quantized.layers)
      context_.report.layers.push_back({{"name", layer.name},
                                        {"op", layer.op},
                                        {"shape", layer.shape},
                                        {"bits", layer.bits},
                                        {"snr_db", layer.snr_db}});
    report_rounding(quantized.layers);
    Json& values = float_values_ = Json::array();
    for (size_t i = 0; i < floats; ++i) {
      const Value& value = prepared.value(order_[i]);
      values.push_back({{"name", value.name}, {"noise", shares_.at(order_[i]).noise}});
      for (const Node& node : prepared.nodes)
        if (std::find(node.outputs.begin(), node.outputs.end(), order_[i]) != node.outputs.end())
          values.back()["node"] = node.name;
    }
    for (const std::string& label : float_products(prepared, quantized.placement))
      context_.warn(fmt::format("{} stays float", label));
  }

  void report_rounding(const std::vector<StaticLayer>& layers) {
    for (size_t i = 0; i < layers.size(); ++i) {
      const auto found = learned_.errors.find(layers[i].weight);
      if (found == learned_.errors.end()) continue;
      context_.report.layers[i]["output_error"] = found->second.rounded;
      context_.report.layers[i]["output_error_nearest"] = found->second.nearest;
      if (found->second.kept_nearest)
        context_.warn(fmt::format("layer '{}' keeps rounding to nearest: --rounding {} changes its outputs no less",
                                  layers[i].name, options_.rounding));
    }
  }

  CodeForm form(const QuantPlace& place) const {
    const int bits = options_.activations.back() - '0', outer = static_cast<int>(options_.outer_bits);
    return {place.outer && outer > 0 ? outer : bits, tensorrt_, options_.symmetric};
  }

  StaticConfig static_config() const {
    StaticConfig config;
    config.weight_bits = options_.weights.back() - '0';
    config.outer_bits = static_cast<int>(options_.outer_bits);
    // Products of uint8 and int8 are added in 16 bits there: with 7 bits they cannot saturate.
    if (options_.target == "avx2") {
      config.weight_bits = std::min(config.weight_bits, 7);
      config.outer_bits = std::min(config.outer_bits, 7);
    }
    config.per_channel = options_.granularity != "tensor";
    config.search = ScaleSearch::mse;
    config.integer_bias = !tensorrt_;
    config.int4 = options_.opset >= 21;
    return config;
  }

  Json lineage() const {
    Json settings;
    for (const char* key :
         {"weights", "activations", "outer-bits", "granularity", "calibration", "rounding", "profile", "target",
          "symmetric", "max-drop", "equalize", "smooth", "bias-correct", "opset", "limit", "seed"})
      if (context_.report.settings.contains(key)) settings[key] = context_.report.settings[key];
    return {{"command", "quantize"}, {"settings", std::move(settings)}};
  }

  SampleUse sample_use(const DataOptions& data) const { return {data, loaded_.graph, context_, options_.compute.seed}; }

  // The outputs against the input's, in memory that does not grow with the samples.
  PowerSums compare(const Graph& graph, const Dataset& samples, int64_t most) const {
    return compare_samples(graph, loaded_.graph, samples, options_.data, options_.batch, device_, most);
  }

  Evaluation evaluate(const Graph& graph, const Dataset& samples) const {
    return evaluate_samples(graph, samples, options_.data, options_.batch, device_);
  }

  // Whether the outputs are scores of the samples' classes, as far as that is known.
  bool classifies(const Dataset& samples) const {
    const auto& shape = loaded_.graph.value(loaded_.graph.outputs.front().value).shape;
    return samples.labelled() && (!shape || shape->size() == 2);
  }

  // What the result is measured on: the test samples where there are some, else those of the calibration.
  void open_measured(const DatasetPtr& calibration, const RuntimeCheck& runtime) {
    DataOptions all = options_.data;
    all.limit = 0;
    measured_ = find_samples(sample_use(all), all.data, "test");
    tested_ = measured_ != nullptr;
    if (!tested_) measured_ = calibration;
    with_context(options_.model,
                 [&] { check_outputs(loaded_.graph, *measured_, options_.data, options_.batch, device_); });
    const std::vector<std::string>& gates = options_.report.gates;
    if (!classifies(*measured_))
      refuse_gates(gates, {"accuracy", "accuracy_before", "accuracy_drop", "loss"}, measured_->name(),
                   measured_->labelled() ? "has classes, the output has none" : "has no class labels");
    if (!runtime.measures_speedup())
      refuse_gates(gates, {"speedup"}, options_.model, "is timed as .onnx by ONNX Runtime on the CPU alone");
  }

  // The written file against the input.
  void report_comparison(const Graph& written) {
    context_.report.result["float_values"] = float_values_;
    context_.report.result.update(learned_.report);
    context_.report.result.update(methods_);
    const Dataset& samples = *measured_;
    if (!classifies(samples))
      return report_closeness(compare(written, samples, tested_ ? samples.size() : compared_samples));
    const Evaluation before = evaluate(loaded_.graph, samples);
    const Evaluation after = evaluate(written, samples);
    report_closeness(power_sums(after.outputs, before.outputs));
    Json& metrics = context_.report.metrics;
    metrics["accuracy"] = after.metrics.accuracy;
    metrics["accuracy_before"] = before.metrics.accuracy;
    metrics["accuracy_drop"] = before.metrics.accuracy - after.metrics.accuracy;
    metrics["loss"] = after.metrics.loss;
  }

  void report_closeness(const PowerSums& sums) {
    context_.report.metrics["cosine"] = sums.cosine();
    context_.report.metrics["snr_db"] = sums.snr_db();
  }

  ExitCode plan(const Graph& graph, const QuantPlacement& placement, const Dataset& samples) {
    int64_t weights = 0;
    for (const QuantLayer& layer : placement.layers) weights += graph.value(layer.weight).constant->elements();
    const auto before = static_cast<int64_t>(loaded_.model.file_bytes);
    context_.report.plan = {{"weights", weights},
                            {"samples", samples.size()},
                            {"bytes_before", before},
                            {"bytes_after", before - 3 * weights}};
    Table table({"plan", ""});
    table.add({"layers to quantize", count_text(static_cast<int64_t>(placement.layers.size()))});
    table.add({"weights to quantize", count_text(weights)});
    table.add({"calibration samples", count_text(samples.size())});
    table.add({"size before", bytes_text(before)});
    table.add({"size after", "about " + bytes_text(before - 3 * weights)});
    context_.print(table.text());
    return ExitCode::ok;
  }

  void print(const std::vector<StaticLayer>& layers, const std::vector<std::string>& floats) const {
    const Json& metrics = context_.report.metrics;
    Table table({"", "before", "after"});
    for (const Json& file : context_.report.result.at("files"))
      table.add({file.at("path").get<std::string>(), bytes_text(context_.report.model.at("bytes")),
                 bytes_text(file.at("bytes"))});
    if (metrics.contains("accuracy"))
      table.add({"accuracy", percent_text(metrics.at("accuracy_before")), percent_text(metrics.at("accuracy"))});
    table.add({"cosine of the outputs", "1", fmt::format("{:.5f}", metrics.at("cosine").get<double>())});
    table.add({"integer kernels", "0", integer_kernels_text(context_.report.result.at("integer_kernels"))});
    table.add({"quantized layers", "0", fmt::format("{} of {}", layers.size(), layers.size() + floats.size())});
    context_.print(table.text());
  }

  const QuantizeOptions& options_;
  RunContext& context_;
  at::Device device_;
  LoadedModel loaded_;
  bool tensorrt_;
  Calibration calibration_;
  std::set<std::string> names_;  // of the weights that may be quantized
  std::set<ValueId> observed_;   // the places where nothing stays float; empty before there are samples
  std::map<ValueId, std::vector<CodesChoice>> choices_;
  std::map<ValueId, NoiseShare> shares_;
  LearnedRounding learned_;
  std::vector<ValueId> order_;     // in which values become float
  std::set<ValueId> kept_floats_;  // for --smooth
  DatasetPtr measured_;
  bool tested_ = false;  // they are test samples
  Json float_values_;
  Json methods_ = Json::object();  // what --equalize, --smooth and --bias-correct did; kernels to expect
};

}  // namespace

ExitCode run_quantize(const QuantizeOptions& options, RunContext& context) {
  if (!options.bits_budget.empty()) return run_quantize_budget(options, context);
  if (options.activations == "none")
    return options.rounding == "gptq" ? run_quantize_gptq(options, context, nullptr)
                                      : run_quantize_adaround(options, context, nullptr);
  return StaticRun(options, context).run();
}

}  // namespace pare
