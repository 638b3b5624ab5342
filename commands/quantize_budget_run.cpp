#include <algorithm>

#include "commands/engine_run.hpp"
#include "commands/quantize.hpp"
#include "src/train/agreement.hpp"

namespace pare {
ExitCode run_quantize_budget(const QuantizeOptions& options, RunContext& context) {
  const at::Device device = set_up_device(options.compute, context);
  const LoadedModel loaded = load_executable(options.model);
  const auto samples =
      open_samples({options.data, loaded.graph, context, options.compute.seed}, options.data.data, options.data.split);
  const auto outputs_of = [&](const Graph& graph) {
    return evaluate_samples(graph, *samples, options.data, std::min(options.batch, samples->size()), device).outputs;
  };
  // Each weight alone in each number of bits: what the outputs lose.
  const auto measure = [&](const Graph& graph, const WeightOnlyConfig& config, std::vector<WeightChoices>& weights) {
    const std::vector<at::Tensor> before = outputs_of(graph);
    for (WeightChoices& weight : weights)
      for (BitsChoice& choice : weight.choices) {
        Graph trial = graph;
        WeightOnlyConfig alone = config;
        alone.bits = choice.bits;
        alone.selected = [&weight](const std::string& name) { return name == weight.name; };
        quantize_weights_only(trial, alone);
        choice.error = power_sums(outputs_of(trial), before).relative_error();
      }
  };
  if (options.rounding == "gptq") return run_quantize_gptq(options, context, measure);
  if (options.rounding == "adaround") return run_quantize_adaround(options, context, measure);
  return quantize_weights(options, context, measure, nullptr);
}

}  // namespace pare
