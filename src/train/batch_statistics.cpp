#include "src/train/batch_statistics.hpp"

#include <map>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros_like.h>

#include "src/train/metrics.hpp"

namespace pare {
namespace {

// A running tensor. A forward pass that starts from zero leaves `weight` times the batch's statistic in it.
struct Statistic {
  at::Tensor running;
  at::Tensor sum;
  double kept = 1;  // product of the momenta of the nodes that update it

  double weight() const { return 1 - kept; }
};

std::map<ValueId, Statistic> statistics_of(const Graph& graph, const Parameters& parameters) {
  constexpr size_t mean_input = 3, variance_input = 4;
  std::map<ValueId, Statistic> statistics;
  for (const Node& node : graph.nodes) {
    if (node.op != "BatchNormalization" || !node.domain.empty()) continue;
    for (const size_t input : {mean_input, variance_input}) {
      const at::Tensor& running = parameters.tensor(node.inputs[input]);
      if (!running.defined()) continue;
      Statistic& statistic = statistics[node.inputs[input]];
      statistic.running = running;
      statistic.kept *= node.real("momentum", 0.9f);
    }
  }
  std::erase_if(statistics, [](const auto& entry) { return entry.second.weight() <= 0; });
  for (auto& [value, statistic] : statistics)
    statistic.sum = at::zeros_like(statistic.running, statistic.running.options().dtype(at::kDouble));
  return statistics;
}

}  // namespace

int reestimate_batch_statistics(const Graph& graph, const Executor& executor, Parameters& parameters, Loader& loader,
                                int64_t batches) {
  constexpr bool training = true;
  const at::NoGradGuard no_gradients;
  std::map<ValueId, Statistic> statistics = statistics_of(graph, parameters);
  if (statistics.empty()) return 0;
  int64_t done = 0;
  for (const Batch* batch = loader.next(); batch != nullptr && done < batches; batch = loader.next(), ++done) {
    for (auto& [value, statistic] : statistics) statistic.running.zero_();
    executor.run(parameters, inputs_of(*batch, parameters.device()), training);
    for (auto& [value, statistic] : statistics) statistic.sum.add_(statistic.running);
  }
  if (done == 0) return 0;
  for (auto& [value, statistic] : statistics)
    statistic.running.copy_(statistic.sum / (static_cast<double>(done) * statistic.weight()));
  return static_cast<int>(statistics.size() / 2);
}

}  // namespace pare
