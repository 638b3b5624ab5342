#include <algorithm>
#include <map>

#include "commands/model_summary.hpp"
#include "commands/quantize.hpp"
#include "commands/quantize_output.hpp"
#include "compress/selection.hpp"
#include "compress/weight_bits.hpp"
#include "compress/weight_dynamic.hpp"
#include "src/core/table.hpp"
#include "src/core/threads.hpp"

namespace pare {
namespace {

WeightOnlyConfig config_of(const QuantizeOptions& options, const Graph& graph) {
  WeightOnlyConfig config;
  config.bits = options.weights[3] - '0';
  config.granularity = Granularity::parse(options.granularity);
  config.search = options.calibration == "mse" ? ScaleSearch::mse : ScaleSearch::absmax;
  if (!options.include.empty() || !options.exclude.empty())
    config.selected = [names = select_tensors(graph, options.include, options.exclude)](const std::string& name) {
      return names.contains(name);
    };
  return config;
}

// Chooses the bits of each weight by --bits-budget; whether they fit it.
bool choose_bits(const Graph& graph, const QuantizeOptions& options, const MeasureChoices& measure,
                 WeightOnlyConfig& config, RunContext& context) {
  std::vector<WeightChoices> weights = choices_of_bits(graph, config);
  if (measure) measure(graph, config, weights);
  int64_t elements = 0;
  for (const WeightChoices& weight : weights) elements += weight.elements;
  const int64_t budget = BitsBudget::parse(options.bits_budget).bytes_for(elements);
  const BitsAllocation allocation = allocate_bits(weights, budget);
  std::map<std::string, int> bits;
  std::string rules;
  for (size_t i = 0; i < weights.size(); ++i) {
    bits[weights[i].name] = weights[i].choices[allocation.chosen[i]].bits;
    rules += fmt::format(" --bits '{}={}'", weights[i].name, bits[weights[i].name]);
  }
  config.bits_of = [bits](const std::string& weight) {
    const auto found = bits.find(weight);
    return found == bits.end() ? 8 : found->second;  // of a weight that stays float whatever its bits
  };
  context.report.settings["bits_budget"] = options.bits_budget;
  context.report.plan["budget_bytes"] = budget;
  context.report.plan["weight_bytes"] = allocation.bytes;
  if (!allocation.fits)
    context.warn(fmt::format("--bits-budget {}: out of reach (got {}, expected at most {}); the fewest bits are chosen",
                             options.bits_budget, bytes_text(allocation.bytes), bytes_text(budget)));
  context.print(fmt::format("codes and scales: {} of {}; the same bits for qat: --outer-bits 0{}\n\n",
                            bytes_text(allocation.bytes), bytes_text(budget), rules));
  return allocation.fits;
}

WeightOnlyResult quantize(Graph& graph, const QuantizeOptions& options, const WeightOnlyConfig& config) {
  if (options.activations != "dynamic") return quantize_weights_only(graph, config);
  DynamicConfig dynamic;
  dynamic.bits = options.target == "avx2" ? 7 : 8;
  dynamic.per_channel = config.granularity.kind == Granularity::Kind::channel;
  dynamic.selected = config.selected;
  return quantize_dynamically(graph, dynamic);
}

Json layers_of(const WeightOnlyResult& result) {
  Json layers = Json::array();
  for (const QuantizedWeight& weight : result.weights) {
    layers.push_back({{"name", weight.node},
                      {"op", weight.op},
                      {"shape", weight.shape},
                      {"bits", weight.bits},
                      {"snr_db", weight.snr_db}});
    if (!weight.errors) continue;
    layers.back()["output_error"] = weight.errors->rounded;
    layers.back()["output_error_nearest"] = weight.errors->nearest;
  }
  return layers;
}

std::string layers_text(const WeightOnlyResult& result) {
  const bool measured = std::any_of(result.weights.begin(), result.weights.end(),
                                    [](const QuantizedWeight& weight) { return weight.errors.has_value(); });
  std::vector<std::string> head{"weight", "op", "shape", "bits", "SNR"};
  if (measured) head.insert(head.end(), {"output error", "nearest"});
  Table layers(head);
  for (const QuantizedWeight& weight : result.weights) {
    std::vector<std::string> row{weight.name, weight.op, shape_text(weight.shape), std::to_string(weight.bits),
                                 fmt::format("{:.1f} dB", weight.snr_db)};
    if (measured)
      row.insert(row.end(), {weight.errors ? fmt::format("{:.3g}", weight.errors->rounded) : "-",
                             weight.errors ? fmt::format("{:.3g}", weight.errors->nearest) : "-"});
    layers.add(row);
  }
  return layers.text();
}

std::string result_text(const WeightOnlyResult& result, const RunContext& context) {
  int64_t elements = 0, bits = 0;
  for (const QuantizedWeight& weight : result.weights) {
    elements += weight.elements;
    bits += weight.stored_bits;
  }
  Table sizes({"", "before", "after"});
  const Json& before = context.report.model;
  for (const Json& file : context.report.result.at("files"))
    sizes.add({file.at("path").get<std::string>(), bytes_text(before.at("bytes")), bytes_text(file.at("bytes"))});
  if (elements > 0)
    sizes.add(
        {"bits a weight", "32", fmt::format("{:.2f}", static_cast<double>(bits) / static_cast<double>(elements))});
  return layers_text(result) + "\n" + sizes.text();
}

}  // namespace

ExitCode run_quantize_weights(const QuantizeOptions& options, RunContext& context) {
  return quantize_weights(options, context, nullptr, nullptr);
}

ExitCode quantize_weights(const QuantizeOptions& options, RunContext& context, const MeasureChoices& measure,
                          const MakeRounding& rounding) {
  if (options.compute.threads > 0) set_threads(static_cast<int>(options.compute.threads));
  const Model model = load_model(options.model);
  Graph graph = with_context(options.model, [&] { return read_graph(model.onnx); });
  context.report.model = model_json(model, graph);
  context.report.settings["granularity"] = options.granularity;
  context.report.settings["activations"] = options.activations;
  context.report.settings["rounding"] = options.rounding;
  WeightOnlyConfig config = config_of(options, graph);
  bool fits = true;
  if (!options.bits_budget.empty())
    fits = with_context(options.model, [&] { return choose_bits(graph, options, measure, config, context); });
  const Graph original = graph;
  const WeightOnlyResult result = with_context(options.model, [&] {
    if (rounding && !options.output.dry_run) config.rounding = rounding(original, config);
    return quantize(graph, options, config);
  });
  if (result.weights.empty())
    fail_input("{}: no weight can be quantized{}", options.model,
               result.kept.empty() ? ": it has no MatMul, Gemm or Gather with a float32 weight of its own that is "
                                     "selected, or is quantized already"
                                   : fmt::format(": '{}': {}", result.kept[0].name, result.kept[0].reason));
  for (const QuantizedWeight& weight : result.weights)
    if (weight.errors && weight.errors->kept_nearest)
      context.warn(fmt::format("'{}' keeps rounding to nearest: --rounding {} changes the layer's outputs no less",
                               weight.name, options.rounding));
  for (const KeptWeight& kept : result.kept) context.warn(fmt::format("'{}' stays float: {}", kept.name, kept.reason));
  context.report.layers = layers_of(result);
  if (options.output.dry_run) {
    int64_t elements = 0, stored = 0;
    for (const QuantizedWeight& weight : result.weights) {
      elements += weight.elements;
      stored += weight.stored_bits / 8;
    }
    const auto before = static_cast<int64_t>(model.file_bytes);
    context.report.plan["weights"] = elements;
    context.report.plan["bytes_before"] = before;
    context.report.plan["bytes_after"] = before - 4 * elements + stored;
    Table plan({"plan", ""});
    plan.add({"weights to quantize", count_text(elements)});
    plan.add({"size before", bytes_text(before)});
    plan.add({"size after", "about " + bytes_text(before - 4 * elements + stored)});
    context.print((options.bits_budget.empty() ? "" : layers_text(result) + "\n") + plan.text());
    return fits ? ExitCode::ok : ExitCode::goal_missed;
  }
  Json lineage = {{"command", "quantize"},
                  {"settings",
                   {{"weights", options.weights},
                    {"activations", options.activations},
                    {"granularity", context.report.settings["granularity"]},
                    {"calibration", options.calibration}}}};
  if (rounding) lineage["settings"]["rounding"] = options.rounding;
  if (!options.bits_budget.empty()) lineage["settings"]["bits_budget"] = options.bits_budget;
  const QuantizedOutput written = write_quantized(
      model, graph, lineage, options.output, [&](const Graph& again) { check_weights(again, result); }, context);
  context.print(result_text(result, context));
  return written.smaller && fits ? ExitCode::ok : ExitCode::goal_missed;
}

}  // namespace pare
