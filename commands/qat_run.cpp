#include <ATen/TensorOperators.h>

#include "commands/calibration_run.hpp"
#include "commands/model_summary.hpp"
#include "commands/qat.hpp"
#include "commands/qat_result_run.hpp"
#include "commands/quantize_output.hpp"
#include "commands/training_run.hpp"
#include "compress/qat_export.hpp"
#include "compress/qat_start.hpp"
#include "compress/selection.hpp"
#include "formats/onnx_model.hpp"
#include "src/core/error.hpp"
#include "src/core/signals.hpp"
#include "src/core/table.hpp"
#include "src/train/kept_zeros.hpp"

namespace pare {
namespace {

constexpr const char* grids_key = "pare.quantized";

QatGrids grids_of(const QatOptions& options) {
  QatGrids grids;
  grids.activation_bits = options.activations == "none" ? 0 : options.activations.back() - '0';
  grids.unsigned_activations = options.activations != "int8";
  grids.outer_bits = static_cast<int>(options.outer_bits);
  grids.quantizer = options.quantizer;
  const int64_t weight_bits = options.weights.back() - '0';
  grids.weight_bits = [&options, weight_bits](const std::string& weight, const std::string& node, bool outer) {
    const int64_t others = outer && options.outer_bits > 0 ? options.outer_bits : weight_bits;
    return static_cast<int>(bits_of(options.bits, weight, node, others));
  };
  return grids;
}

// Throws (exit 2) naming a rule of --bits that is about no quantized weight.
void check_bits(const std::vector<std::string>& rules, const Graph& graph, const QuantPlacement& placement) {
  constexpr int64_t unmatched = -1;
  for (const std::string& rule : rules)
    if (std::none_of(placement.places.begin(), placement.places.end(), [&](const QuantPlace& place) {
          return place.kind == QuantPlace::Kind::weight &&
                 bits_of({rule}, graph.value(place.value).name, place.layer, unmatched) != unmatched;
        }))
      fail_usage("--bits {}: no quantized weight or layer has such a name", rule);
}

bool has_fake_quant(const Graph& graph) { return std::any_of(graph.nodes.begin(), graph.nodes.end(), is_fake_quant); }

// The samples that activations are first measured on: of the training samples, not of those that validate.
DatasetPtr calibration_samples(const QatOptions& options, const Graph& graph, RunContext& context) {
  const DataOptions& data = options.data;
  const auto seed = static_cast<uint64_t>(options.compute.seed);
  DatasetPtr samples = open_samples({data, graph, context, options.compute.seed}, data.data, data.split);
  if (data.holdout > 0) samples = split_holdout(samples, data.holdout, seed).train;
  return limit(samples, options.calibration_samples, seed);
}

// Where a placement's values, but those, are quantized, and with which codes.
using PlaceAll = std::function<QuantPlacement(const std::set<ValueId>& floats)>;
struct Start {
  QuantPlacement placement;
  std::map<ValueId, ActivationCodes> codes;
  Json float_values = Json::array();  // name and noise of what stays float for the outputs' sake
};

// As the static quantization of pare quantize begins. With 8 bits it leaves the same values float; fewer bits are noisy
// everywhere, and training adapts to them.
class Starter {
 public:
  Starter(const QatOptions& options, const Graph& graph, const QatGrids& grids, at::Device device, RunContext& context)
      : graph_(graph),
        grids_(grids),
        calibration_(Calibration::parse(options.calibration)),
        samples_(calibration_samples(options, graph, context)),
        runs_{
            *samples_, options.data, options.model, options.training.batch, static_cast<uint64_t>(options.compute.seed),
            device} {}

  Start start(const PlaceAll& place_all) {
    QuantPlacement whole = place_all({});
    const auto choices = calibrate(
        graph_, whole, calibration_, [&](const QuantPlace& place) { return code_form_of(place, grids_); }, runs_);
    if (grids_.activation_bits < 8) {
      Start start{std::move(whole), {}};
      for (const auto& [value, choice] : choices) start.codes[value] = choice.front().codes;
      return start;
    }
    const std::map<ValueId, NoiseShare> shares = measure_noise(graph_, whole, choices, {}, {}, runs_);
    const std::set<ValueId> islands = float_islands(whole, shares, {}, [&](const std::set<ValueId>& floats) {
      return integer_products(graph_, place_all(floats));
    });
    Start start{place_all(islands), {}};
    start.codes = chosen_codes(choices, shares, start.placement, whole);
    for (const ValueId value : islands)
      start.float_values.push_back({{"name", graph_.value(value).name}, {"noise", shares.at(value).noise}});
    return start;
  }

 private:
  const Graph& graph_;
  const QatGrids& grids_;
  Calibration calibration_;
  DatasetPtr samples_;
  SampleRuns runs_;
};

// The model with fake quantization where its file has Q/DQ.
Graph raised(const LoadedModel& loaded) {
  const auto stored = loaded.model.onnx.metadata.find(grids_key);
  return raise_fake_quant(
      loaded.graph, stored == loaded.model.onnx.metadata.end() ? Json() : Json::parse(stored->second, nullptr, false));
}

// `options` for a file that is quantized already: what the command line leaves open is as in the file.
QatOptions as_stored(QatOptions options, const LeastBits& stored) {
  if (!options.weights_given && stored.weights > 0) options.weights = fmt::format("int{}", stored.weights);
  if (!options.activations_given)
    options.activations = stored.activations == 0   ? "none"
                          : stored.activations == 8 ? "uint8"
                                                    : fmt::format("int{}", stored.activations);
  return options;
}

// Whether the command line asks for other bits than the file has.
bool asks_for_others(const QatOptions& options, const LeastBits& stored) {
  return (options.weights_given && options.weights.back() - '0' != stored.weights) ||
         (options.activations_given && grids_of(options).activation_bits != stored.activations);
}

// The model with fake quantization where its file will have Q/DQ: as `graph` has it already, or from post-training
// quantization; `float_values` for the report.
Graph simulated(const QatOptions& options, Graph graph, at::Device device, Json& float_values, RunContext& context) {
  if (has_fake_quant(graph)) {
    if (!asks_for_others(options, least_bits(graph))) {
      context.warn(fmt::format("{} is quantized already: its bits and scales are kept, and trained on", options.model));
      return graph;
    }
    context.warn(
        fmt::format("{} is quantized already, with other bits: training begins anew with its weights", options.model));
    graph = without_fake_quant(graph);
  }
  make_normalization_positive(graph);
  const auto names = select_weights(graph, options.include, options.exclude);
  const auto place_all = [&](const std::set<ValueId>& floats) {
    const auto selected = [&](const std::string& name) {
      return names.contains(name) && !floats.contains(graph.find(name));
    };
    return place_quantization(graph, selected, QuantProfile::ort, floats);
  };
  const QuantPlacement placement = with_context(options.model, [&] { return place_all({}); });
  check_bits(options.bits, graph, placement);
  if (placement.layers.empty()) {
    with_context(options.model, [&] { require_float32(graph); });
    fail_input("{}: no layer can be quantized: it has no Conv, Gemm or MatMul with a float32 weight of its own",
               options.model);
  }
  const QatGrids grids = grids_of(options);
  Start start{placement, {}};
  if (grids.activation_bits > 0) start = Starter(options, graph, grids, device, context).start(place_all);
  float_values = std::move(start.float_values);
  with_context(options.model, [&] { start_fake_quant(graph, std::move(start.placement), grids, start.codes); });
  return graph;
}

// The scales of normalizations that will be folded; they must stay positive.
class PositiveScales {
 public:
  PositiveScales(const Graph& graph, const Parameters& parameters) {
    const std::vector<std::string> names = folded_normalization_scales(graph);
    for (const Parameter& parameter : parameters.all())
      if (std::find(names.begin(), names.end(), parameter.name) != names.end()) scales_.push_back(parameter.tensor);
  }

  void apply() {
    constexpr double least_scale = 1e-5;
    const c10::AutoGradMode no_grad(false);
    for (at::Tensor& scale : scales_) scale.clamp_min_(least_scale);
  }

 private:
  std::vector<at::Tensor> scales_;
};

Json lineage_of(const QatOptions& options) {
  return {{"command", "qat"},
          {"settings",
           {{"weights", options.weights},
            {"activations", options.activations},
            {"quantizer", options.quantizer},
            {"outer-bits", options.outer_bits},
            {"bits", options.bits},
            {"lr", options.training.lr},
            {"batch", options.training.batch},
            {"seed", options.compute.seed}}}};
}

void print_plan(const QatOptions& options, const Graph& graph, const TrainingRun& run, RunContext& context) {
  const Json layers = quantized_layers_json(graph);
  int64_t stored = 0, weights = 0;
  Table table({"layer", "op", "shape", "bits"});
  for (const Json& layer : layers) {
    const int64_t elements = element_count(layer.at("shape").get<Shape>());
    weights += elements;
    stored += elements * layer.at("bits").get<int64_t>() / 8;
    table.add({layer.at("name"), layer.at("op"), shape_text(layer.at("shape").get<Shape>()), layer.at("bits").dump()});
  }
  context.report.plan = {{"weights", weights},
                         {"steps", run.steps()},
                         {"bytes_before", run.student().model.file_bytes},
                         {"bytes_of_codes", stored},
                         {"peak_bytes", run.estimated_bytes()}};
  Table plan({"plan", ""});
  plan.add({"weights to quantize", count_text(weights)});
  plan.add({"their codes, packed", bytes_text(stored)});
  plan.add({"activations", options.activations});
  plan.add({"training steps", count_text(run.steps())});
  plan.add({"memory for training", "about " + bytes_text(run.estimated_bytes())});
  context.print(table.text() + "\n" + plan.text());
}

// The model with the grids of its weights in its metadata.
Model with_grids(Model model, const Json& grids) {
  OnnxEdit edit;
  edit.metadata[grids_key] = grids.dump();
  model.onnx = open_onnx(edit_onnx(model.onnx, edit).flatten(), model.onnx.path);
  return model;
}

}  // namespace

ExitCode run_qat(const QatOptions& asked, RunContext& context) {
  leave_on_stop_signals();
  const at::Device device = set_up_device(asked.compute, context);
  LoadedModel loaded = load_executable(asked.model);
  context.report.model = model_json(loaded.model, loaded.graph);
  if (asked.data.data.empty()) fail_usage("qat: training needs samples; give --data");
  const Graph given = loaded.graph;
  Json float_values = Json::array();
  Graph graph = with_context(asked.model, [&] { return raised(loaded); });
  const QatOptions options = has_fake_quant(graph) ? as_stored(asked, least_bits(graph)) : asked;
  context.report.settings["weights"] = options.weights;
  context.report.settings["activations"] = options.activations;
  graph = simulated(options, std::move(graph), device, float_values, context);
  loaded.graph = training_form(graph);
  TrainingRun run({"qat", options, options.freeze_batch_norm}, std::move(loaded), device, context);
  if (options.output.dry_run) {
    print_plan(options, graph, run, context);
    return ExitCode::ok;
  }
  const Metrics before = run.measure(given).metrics;
  PositiveScales scales(graph, run.parameters());
  KeptZeros zeros(run.parameters(), run.optimizer(), run.student().model.masked);
  TrainingParts parts;
  parts.hooks.after_step = [&](const StepInfo&) {
    zeros.apply();
    scales.apply();
  };
  const ExitCode end = run.train(parts);
  if (end == ExitCode::preempted) return end;

  set_constants(graph, run.parameters().export_tensors());
  fold_into_steps(graph);
  const ExportedGraph exported = lower_fake_quant(graph, {options.opset >= 21});
  const Simulation simulation(run, graph, options.data, options.training.batch);
  const QuantizedOutput written = write_quantized(
      with_grids(run.student().model, exported.grids), exported.graph, lineage_of(options), options.output,
      [&](const Graph& again) { simulation.check(again); }, context);
  report_written(run, simulation, written, before, context);
  context.report.result["float_values"] = std::move(float_values);
  context.report.layers = quantized_layers_json(graph);
  run.finish();
  return ExitCode::ok;
}

}  // namespace pare
