#include "commands/calibration_run.hpp"

#include <algorithm>
#include <limits>

#include "src/core/error.hpp"
#include "src/graph/passes/fold_sizes.hpp"
#include "src/graph/passes/fuse_activations.hpp"

namespace pare {
namespace {

// That tell where noise comes from, and which codes have the least.
constexpr int64_t ranking_samples = 16;
constexpr int64_t choosing_samples = 32;

std::set<ValueId> quantized_values(const QuantPlacement& placement) {
  std::set<ValueId> values;
  for (const QuantPlace& place : placement.places) values.insert(place.value);
  return values;
}

}  // namespace

Graph running_graph(const Graph& graph, const std::set<ValueId>& kept) {
  Graph running = graph;
  fuse_activations(running, kept);
  remove_dead_nodes(running);
  return running;
}

void SampleRuns::for_each(const Graph& graph, int64_t size, int64_t most,
                          const std::function<void(std::span<const at::Tensor>)>& see,
                          const std::function<bool()>& enough) const {
  const Binding binding = with_context(model, [&] { return bind_samples(graph, samples, data); });
  Loader loader(samples, loader_config(binding, samples, data, size));
  loader.start(0);
  for (int64_t i = 0; i < most && !(enough && enough()); ++i) {
    const Batch* const next = loader.next();
    if (next == nullptr) break;
    see(inputs_of(*next, device));
  }
}

void SampleRuns::for_each(const Graph& graph, const std::function<void(std::span<const at::Tensor>)>& see) const {
  for_each(graph, batch, std::numeric_limits<int64_t>::max(), see);
}

std::map<ValueId, std::vector<CodesChoice>> calibrate(const Graph& graph, const QuantPlacement& placement,
                                                      const Calibration& calibration,
                                                      const std::function<CodeForm(const QuantPlace&)>& form,
                                                      const SampleRuns& runs) {
  const c10::AutoGradMode no_grad(false);
  const Graph running = running_graph(graph, quantized_values(placement));
  const Executor executor(running, Constants::given, Weights::fixed);
  const Parameters parameters(running, runs.device, Training::off);
  Calibrator calibrator(graph, placement, calibration, runs.device);
  runs.for_each(graph, [&](std::span<const at::Tensor> inputs) {
    executor.run(parameters, inputs, false, &calibrator.observation());
  });
  return with_context(runs.model, [&] { return calibrator.choices(form); });
}

std::map<ValueId, NoiseShare> measure_noise(const Graph& graph, const QuantPlacement& placement,
                                            const std::map<ValueId, std::vector<CodesChoice>>& choices,
                                            const StaticConfig& config, const std::map<ValueId, EncodedWeight>& rounded,
                                            const SampleRuns& runs) {
  const bool choosing =
      std::any_of(choices.begin(), choices.end(), [](const auto& place) { return place.second.size() > 1; });
  const Graph running = running_graph(graph, quantized_values(placement));
  NoiseShares meter(running, placement, choices, config, rounded, runs.device, runs.seed);
  runs.for_each(graph, 1, choosing ? choosing_samples : ranking_samples,
                [&](std::span<const at::Tensor> inputs) { meter.add(inputs); });
  return meter.shares();
}

}  // namespace pare
