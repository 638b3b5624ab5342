#include "commands/quantize_adaround_run.hpp"

#include <algorithm>
#include <chrono>
#include <memory>

#include "compress/sequential_rounding.hpp"
#include "compress/simulated_activations.hpp"
#include "compress/tune_ranges.hpp"
#include "src/core/progress.hpp"

namespace pare {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

SequentialConfig config_of(const QuantizeOptions& options, const Dataset& samples) {
  SequentialConfig config;
  config.gptq = options.rounding == "gptq";
  config.adaround.steps = options.rounding_steps;
  config.adaround.key = {static_cast<uint64_t>(options.compute.seed), random_stream("adaround")};
  config.budget.samples = samples.size();
  return config;
}

LoaderConfig loader_of(const QuantizeOptions& options, const Graph& graph, const Dataset& samples) {
  return loader_config(bind_samples(graph, samples, options.data), samples, options.data, options.batch);
}

// All batches, once more with each call. `samples` must outlive it.
ForEachBatch each_batch(const QuantizeOptions& options, const Graph& graph, const Dataset& samples, at::Device device) {
  return [config = loader_of(options, graph, samples), &samples, device](const auto& take) {
    Loader loader(samples, config);
    loader.start(0);
    while (const Batch* batch = loader.next()) take(inputs_of(*batch, device));
  };
}

// Shuffled batches of full size, epoch after epoch.
NextBatch endless_batches(const QuantizeOptions& options, const Graph& graph, const Dataset& samples,
                          at::Device device) {
  LoaderConfig config = loader_of(options, graph, samples);
  config.shuffle = config.drop_last = true;
  config.seed = static_cast<uint64_t>(options.compute.seed);
  const auto loader = std::make_shared<Loader>(samples, config);
  loader->start(0);
  return [loader, device, epoch = int64_t{0}]() mutable {
    const Batch* batch = loader->next();
    if (batch == nullptr) {
      loader->start(++epoch);
      batch = loader->next();
    }
    return inputs_of(*batch, device);
  };
}

void tune(const RoundingTask& task, const QuantizeOptions& options, const Dataset& samples, int64_t steps,
          at::Device device, LearnedRounding& learned, RunContext& context) {
  TuningConfig config;
  config.steps = steps;
  Progress progress("ranges and biases", steps, progress_style(context.quiet, stderr));
  TunedValues tuned = tune_ranges(task.graph, task.placement, task.activations, learned.weights, config, device,
                                  endless_batches(options, task.graph, samples, device),
                                  [&](int64_t step) { progress.update(step, ""); });
  learned.report["tuning"] = {{"steps", steps}, {"loss_before", tuned.loss_before}, {"loss_after", tuned.loss_after}};
  learned.activations = std::move(tuned.activations);
  learned.biases = std::move(tuned.biases);
}

// Rounds the weights of one graph, with activations in float.
class WeightsAlone {
 public:
  WeightsAlone(const QuantizeOptions& options, const Graph& graph, const WeightOnlyConfig& config, at::Device device,
               RunContext& context)
      : graph_(graph),
        search_(config.search),
        samples_(
            open_samples({options.data, graph, context, options.compute.seed}, options.data.data, options.data.split)),
        rounding_(graph, graph, device, config_of(options, *samples_), each_batch(options, graph, *samples_, device)) {}

  RoundedWeight round(const WeightToRound& weight) {
    const auto start = std::chrono::steady_clock::now();
    EncodedWeight nearest = encode_nearest(weight.values, weight.groups, weight.range, search_);
    const bool transposed = weight.node.op == "Gemm" && weight.node.integer("transB", 0) != 0;
    RoundedWeight rounded = rounding_.round(graph_.find(weight.name), weight.values, std::move(nearest), transposed);
    seconds_ += seconds_since(start);
    return rounded;
  }

  double seconds() const { return seconds_; }

 private:
  const Graph& graph_;
  ScaleSearch search_;
  DatasetPtr samples_;
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

LearnedRounding learn_rounding(const RoundingTask& task, const QuantizeOptions& options, const Dataset& samples,
                               at::Device device, RunContext& context) {
  const auto start = std::chrono::steady_clock::now();
  LearnedRounding learned;
  const std::map<ValueId, EncodedWeight> nearest =
      encode_weights(task.graph, task.placement, task.activations, task.config);
  SequentialRounding rounding(task.graph, simulate_activations(task.graph, task.placement, task.activations), device,
                              config_of(options, samples), each_batch(options, task.graph, samples, device));
  Progress progress("rounding", static_cast<int64_t>(task.placement.layers.size()),
                    progress_style(context.quiet, stderr));
  for (const QuantLayer& layer : task.placement.layers) {
    const Value& weight = task.graph.value(layer.weight);
    RoundedWeight rounded =
        rounding.round(layer.weight, finite_floats(*weight.constant, weight.name), nearest.at(layer.weight));
    if (rounded.errors) learned.errors[layer.weight] = *rounded.errors;
    learned.weights.emplace(layer.weight, std::move(rounded.encoded));
    progress.update(static_cast<int64_t>(learned.weights.size()), layer.name);
  }
  if (const int64_t steps = tuning_steps(options); steps > 0)
    tune(task, options, samples, steps, device, learned, context);
  learned.report["rounding_seconds"] = seconds_since(start);
  return learned;
}

}  // namespace pare
