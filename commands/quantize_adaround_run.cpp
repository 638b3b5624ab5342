#include <chrono>
#include <memory>

#include "commands/quantize_rounding_run.hpp"

namespace pare {
namespace {

// Rounds the weights of one graph, with activations in float.
class WeightsAlone {
 public:
  WeightsAlone(const QuantizeOptions& options, const Graph& graph, const WeightOnlyConfig& config, at::Device device,
               RunContext& context)
      : graph_(graph),
        search_(config.search),
        samples_(
            open_samples({options.data, graph, context, options.compute.seed}, options.data.data, options.data.split)),
        runs_(sample_runs(options, *samples_, device)),
        rounding_(graph, graph, device, adaround_config(options, *samples_),
                  [this](const auto& take) { runs_.for_each(graph_, take); }) {}

  RoundedWeight round(const WeightToRound& weight) {
    const auto start = std::chrono::steady_clock::now();
    EncodedWeight nearest = encode_nearest(weight.values, weight.groups, weight.range, search_);
    const bool transposed = weight.node.op == "Gemm" && weight.node.integer("transB", 0) != 0;
    RoundedWeight rounded = rounding_.round(graph_.find(weight.name), weight.values, std::move(nearest), transposed);
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return rounded;
  }

  double seconds() const { return seconds_; }

 private:
  const Graph& graph_;
  ScaleSearch search_;
  DatasetPtr samples_;
  SampleRuns runs_;
  SequentialRounding rounding_;
  double seconds_ = 0;
};

}  // namespace

ExitCode run_quantize_adaround(const QuantizeOptions& options, RunContext& context, const MeasureChoices& measure) {
  const at::Device device = set_up_device(options.compute, context);
  std::shared_ptr<WeightsAlone> rounding;
  const ExitCode code = quantize_weights(
      options, context, measure, [&](const Graph& graph, const WeightOnlyConfig& config) -> WeightRounding {
        rounding = std::make_shared<WeightsAlone>(options, graph, config, device, context);
        return [rounding](const WeightToRound& weight) { return rounding->round(weight); };
      });
  if (rounding) context.report.result["rounding_seconds"] = rounding->seconds();
  return code;
}

}  // namespace pare
