#include <cmath>

#include "commands/engine_run.hpp"
#include "commands/model_summary.hpp"
#include "commands/quantize.hpp"
#include "commands/quantize_output.hpp"
#include "compress/calibrate.hpp"
#include "compress/selection.hpp"
#include "compress/static_quantizer.hpp"
#include "src/core/error.hpp"
#include "src/core/table.hpp"

namespace pare {
namespace {

// Of the outputs' values in float and quantized, over all samples.
struct Closeness {
  double cosine = 0;
  double snr_db = 0;
};

Closeness closeness(const std::vector<at::Tensor>& before, const std::vector<at::Tensor>& after) {
  double product = 0, reference = 0, quantized = 0, noise = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    if (!before[i].is_floating_point()) continue;
    const at::Tensor a = before[i].to(at::kDouble), b = after.at(i).to(at::kDouble);
    product += a.mul(b).sum().item<double>();
    reference += a.mul(a).sum().item<double>();
    quantized += b.mul(b).sum().item<double>();
    noise += a.sub(b).square().sum().item<double>();
  }
  constexpr double least = 1e-300, most_db = 200;
  return {product / std::max(std::sqrt(reference * quantized), least),
          noise == 0 ? most_db : 10 * std::log10(std::max(reference, least) / noise)};
}

class StaticRun {
 public:
  StaticRun(const QuantizeOptions& options, RunContext& context)
      : options_(options),
        context_(context),
        device_(set_up_device(options.compute, context)),
        loaded_(load_executable(options.model)),
        tensorrt_(options.profile == "tensorrt"),
        calibration_(Calibration::parse(options.calibration)) {}

  ExitCode run() {
    context_.report.settings["granularity"] = options_.granularity;
    context_.report.settings["activations"] = options_.activations;
    context_.report.model = model_json(loaded_.model, loaded_.graph);
    const Graph prepared = with_context(options_.model, [&] { return prepare_for_quantization(loaded_.graph); });
    const QuantPlacement placement = place(prepared);
    const auto samples = open_samples(sample_use(options_.data), options_.data.data, options_.data.split);
    if (options_.output.dry_run) return plan(prepared, placement, *samples);
    Graph quantized = prepared;
    const auto codes = calibrate(prepared, placement, *samples);
    const auto layers =
        with_context(options_.model, [&] { return quantize_statically(quantized, placement, codes, static_config()); });
    for (const StaticLayer& layer : layers)
      context_.report.layers.push_back({{"name", layer.name},
                                        {"op", layer.op},
                                        {"shape", layer.shape},
                                        {"bits", layer.bits},
                                        {"snr_db", layer.snr_db}});
    const QuantizedOutput written = write_quantized(
        loaded_.model, quantized, lineage(), options_.output, [](const Graph&) {}, context_);
    compare(written.graph, *samples);
    print(layers, float_products(prepared, placement));
    return written.smaller ? ExitCode::ok : ExitCode::goal_missed;
  }

 private:
  QuantPlacement place(const Graph& graph) {
    const auto names = select_tensors(loaded_.graph, options_.include, options_.exclude);
    QuantPlacement placement = place_quantization(
        graph, [&](const std::string& name) { return names.contains(name); },
        tensorrt_ ? QuantProfile::tensorrt : QuantProfile::ort);
    if (placement.layers.empty())
      fail_input(
          "{}: no layer can be quantized with --profile {}: it has no Conv, Gemm or MatMul with a float32 weight "
          "of its own, or is quantized already",
          options_.model, options_.profile);
    for (const std::string& label : float_products(graph, placement))
      context_.warn(fmt::format("{} stays float", label));
    return placement;
  }

  CodeForm form() const {
    const char digit = options_.activations.back();
    return {digit - '0', tensorrt_, options_.symmetric};
  }

  StaticConfig static_config() const {
    StaticConfig config;
    config.weight_bits = options_.weights.back() - '0';
    // Products of uint8 and int8 are added in 16 bits there: with 7 bits they cannot saturate.
    if (options_.target == "avx2") config.weight_bits = std::min(config.weight_bits, 7);
    config.per_channel = options_.granularity != "tensor";
    config.search = config.weight_bits < 7 ? ScaleSearch::mse : ScaleSearch::absmax;
    config.integer_bias = !tensorrt_;
    return config;
  }

  std::map<ValueId, ActivationCodes> calibrate(const Graph& graph, const QuantPlacement& placement,
                                               const Dataset& samples) {
    const c10::AutoGradMode no_grad(false);
    const Executor executor(graph);
    const Parameters parameters(graph, device_, Training::off);
    Calibrator calibrator(graph, placement, calibration_, device_);
    LoaderConfig config;
    config.batch = std::min(options_.batch, samples.size());
    config.preprocess = preprocess_of(options_.data);
    config.binding = with_context(options_.model, [&] { return bind_samples(graph, samples, options_.data); });
    Loader loader(samples, config);
    loader.start(0);
    while (const Batch* batch = loader.next())
      executor.run(parameters, inputs_of(*batch, device_), false, &calibrator.observation());
    return with_context(options_.model, [&] { return calibrator.choose([&](const QuantPlace&) { return form(); }); });
  }

  Json lineage() const {
    Json settings;
    for (const char* key :
         {"weights", "activations", "granularity", "calibration", "profile", "target", "symmetric", "limit", "seed"})
      if (context_.report.settings.contains(key)) settings[key] = context_.report.settings[key];
    return {{"command", "quantize"}, {"settings", std::move(settings)}};
  }

  SampleUse sample_use(const DataOptions& data) const { return {data, loaded_.graph, context_, options_.compute.seed}; }

  // The written file against the input, on the test samples where there are some, else on those of the calibration.
  void compare(const Graph& written, const Dataset& calibration) {
    DataOptions all = options_.data;
    all.limit = 0;
    const DatasetPtr test = find_samples(sample_use(all), all.data, "test");
    const Dataset& samples = test != nullptr ? *test : calibration;
    const Evaluation before = evaluate_samples(loaded_.graph, samples, all, options_.batch, device_);
    const Evaluation after = evaluate_samples(written, samples, all, options_.batch, device_);
    const Closeness close = closeness(before.outputs, after.outputs);
    Json& metrics = context_.report.metrics;
    metrics["cosine"] = close.cosine;
    metrics["snr_db"] = close.snr_db;
    if (!samples.labelled()) return;
    metrics["accuracy"] = after.metrics.accuracy;
    metrics["accuracy_before"] = before.metrics.accuracy;
    metrics["accuracy_drop"] = before.metrics.accuracy - after.metrics.accuracy;
    metrics["loss"] = after.metrics.loss;
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
    table.add({"quantized layers", "0", fmt::format("{} of {}", layers.size(), layers.size() + floats.size())});
    context_.print(table.text());
  }

  const QuantizeOptions& options_;
  RunContext& context_;
  at::Device device_;
  LoadedModel loaded_;
  bool tensorrt_;
  Calibration calibration_;
};

}  // namespace

ExitCode run_quantize(const QuantizeOptions& options, RunContext& context) {
  if (!options.bits_budget.empty()) return run_quantize_budget(options, context);
  if (options.rounding == "gptq") return run_quantize_gptq(options, context, nullptr);
  return StaticRun(options, context).run();
}

}  // namespace pare
