#include "commands/quantize_methods_run.hpp"

#include "compress/bias_correction.hpp"
#include "compress/equalize.hpp"
#include "compress/smooth.hpp"
#include "compress/value_absmax.hpp"
#include "src/graph/passes/run_pass.hpp"

namespace pare {
namespace {

// That tell the ranges of channels against each other.
constexpr int64_t range_samples = 32;

std::map<ValueId, std::vector<float>> absmax_of(const Graph& graph, const std::map<ValueId, int64_t>& axes,
                                                const SampleRuns& runs) {
  const c10::AutoGradMode no_gradients(false);
  std::set<ValueId> values;
  for (const auto& [value, axis] : axes) values.insert(value);
  const Graph running = running_graph(graph, values);
  const Executor executor(running, Constants::given, Weights::fixed);
  const Parameters parameters(running, runs.device, Training::off);
  ValueAbsmax meter(axes);
  runs.for_each(graph, 1, range_samples, [&](std::span<const at::Tensor> inputs) {
    executor.run(parameters, inputs, false, &meter.observation());
  });
  return meter.absmax();
}

// Weights with one scale a tensor gain by equal ranges of their own; with one a channel only the values do.
int64_t equalize_layers(Graph& graph, bool per_channel, const SampleRuns& runs) {
  const auto spans = equalization_spans(graph);
  if (!per_channel) return run_pass(graph, "equalize", [&](Graph& g) { return static_cast<int>(equalize(g, spans)); });
  std::map<ValueId, int64_t> axes;
  for (const EqualizationSpan& span : spans)
    if (span.depthwise()) axes[span.value] = span.axis;
  if (axes.empty()) return 0;
  const auto ranges = absmax_of(graph, axes, runs);
  return run_pass(graph, "equalize", [&](Graph& g) { return static_cast<int>(equalize(g, spans, &ranges)); });
}

Smoothed smooth_products(Graph& graph, double strength, const SampleRuns& runs) {
  const auto sites = smooth_sites(graph);
  std::map<ValueId, int64_t> axes;
  for (const SmoothSite& site : sites) axes[site.value] = -1;
  const auto absmax = absmax_of(graph, axes, runs);
  Smoothed smoothed;
  run_pass(graph, "smooth", [&](Graph& g) {
    smoothed = smooth(g, sites, absmax, strength);
    return static_cast<int>(smoothed.sites);
  });
  return smoothed;
}

}  // namespace

std::set<ValueId> balance_channels(Graph& graph, const QuantizeOptions& options, const SampleRuns& runs, Json& result) {
  std::set<ValueId> floats;
  if (options.equalize) result["equalized"] = equalize_layers(graph, options.granularity != "tensor", runs);
  if (options.smooth >= 0) {
    Smoothed smoothed = smooth_products(graph, options.smooth, runs);
    result["smoothed"] = smoothed.sites;
    floats = std::move(smoothed.floats);
  }
  if (options.bias_correct) run_pass(graph, "add_missing_biases", add_missing_biases);
  return floats;
}

void correct_biases(Graph& graph, const Graph& quantized, const QuantPlacement& placement, const SampleRuns& runs,
                    Json& result) {
  BiasCorrection correction(graph, inference_graph(quantized), placement, runs.device);
  const auto add = [&](std::span<const at::Tensor> inputs) { correction.add(inputs); };
  // One sample at once: what all layers compute of a batch in float is kept until it ran quantized.
  const int64_t all = runs.samples.size();
  runs.for_each(graph, 1, all, add);
  correction.next_pass();
  runs.for_each(graph, 1, all, add);
  Json& rows = result["corrected_biases"] = Json::array();
  for (auto& [id, corrected] : correction.biases()) {
    rows.push_back({{"layer", corrected.layer}, {"shift", corrected.shift}});
    graph.value(id).constant = corrected.bias;
  }
}

}  // namespace pare
