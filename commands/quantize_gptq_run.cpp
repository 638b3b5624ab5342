#include <memory>

#include "commands/engine_run.hpp"
#include "commands/quantize_rounding_run.hpp"
#include "compress/gptq_rounding.hpp"

namespace pare {
namespace {

// Rounds the weights of one graph, with activations in float.
class WeightsByGptq {
 public:
  WeightsByGptq(const QuantizeOptions& options, const Graph& graph, const WeightOnlyConfig& config, at::Device device,
                RunContext& context)
      : graph_(graph),
        search_(config.search),
        device_(device),
        samples_(
            open_samples({options.data, graph, context, options.compute.seed}, options.data.data, options.data.split)),
        executor_(graph, Constants::given, Weights::fixed),
        parameters_(graph, device, Training::off),
        runs_(sample_runs(options, *samples_, device)),
        rounding_(graph, matrices(graph, config), device,
                  [this](const Observation& observation) { run(observation); }) {}

  RoundedWeight round(const WeightToRound& weight) {
    const bool transposed = weight.node.op == "Gemm" && weight.node.integer("transB", 0) != 0;
    return rounding_.round(graph_.find(weight.name), weight.values,
                           encode_nearest(weight.values, weight.groups, weight.range, search_), transposed);
  }

  const GptqRounding& rounding() const { return rounding_; }

 private:
  static std::vector<ValueId> matrices(const Graph& graph, const WeightOnlyConfig& config) {
    std::vector<ValueId> weights;
    for (size_t id = 0; id < graph.values.size(); ++id) {
      const Value& value = graph.values[id];
      const bool matrix = value.constant && value.constant->dtype == DType::float32 && value.constant->shape.size() > 1;
      if (matrix && (!config.selected || config.selected(value.name))) weights.push_back(static_cast<ValueId>(id));
    }
    return weights;
  }

  void run(const Observation& observation) const {
    const c10::AutoGradMode no_grad(false);
    runs_.for_each(
        graph_, [&](std::span<const at::Tensor> inputs) { executor_.run(parameters_, inputs, false, &observation); });
  }

  const Graph& graph_;
  ScaleSearch search_;
  at::Device device_;
  DatasetPtr samples_;
  Executor executor_;
  Parameters parameters_;
  SampleRuns runs_;
  GptqRounding rounding_;
};

}  // namespace

ExitCode run_quantize_gptq(const QuantizeOptions& options, RunContext& context, const MeasureChoices& measure) {
  const at::Device device = set_up_device(options.compute, context);
  std::shared_ptr<WeightsByGptq> gptq;
  const ExitCode code = quantize_weights(
      options, context, measure, [&](const Graph& graph, const WeightOnlyConfig& config) -> WeightRounding {
        gptq = std::make_shared<WeightsByGptq>(options, graph, config, device, context);
        return [gptq](const WeightToRound& weight) { return gptq->round(weight); };
      });
  if (!options.output.dry_run) {
    context.report.result["hessian_seconds"] = gptq->rounding().measuring_seconds();
    context.report.result["rounding_seconds"] = gptq->rounding().rounding_seconds();
  }
  return code;
}

}  // namespace pare
