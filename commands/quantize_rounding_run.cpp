#include "commands/quantize_rounding_run.hpp"

#include <chrono>
#include <limits>
#include <memory>

#include "compress/gptq_rounding.hpp"
#include "compress/simulated_activations.hpp"
#include "compress/tune_quantization.hpp"
#include "src/core/progress.hpp"

namespace pare {
namespace {

// Of the samples, for a layer's Hessian: more rows tell little more of its inputs, and samples differ more than the
// rows of one do.
constexpr HessianRows hessian_rows{8, 32};

using Clock = std::chrono::steady_clock;

void add_seconds(LearnedRounding& learned, Clock::time_point start) {
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  learned.report["rounding_seconds"] = learned.report.value("rounding_seconds", 0.0) + seconds;
}

// Shuffled batches of full size, epoch after epoch.
NextBatch endless_batches(const SampleRuns& runs, const Graph& graph) {
  LoaderConfig config =
      loader_config(bind_samples(graph, runs.samples, runs.data), runs.samples, runs.data, runs.batch);
  config.shuffle = config.drop_last = true;
  config.seed = runs.seed;
  const auto loader = std::make_shared<Loader>(runs.samples, config);
  loader->start(0);
  return [loader, device = runs.device, epoch = int64_t{0}]() mutable {
    const Batch* batch = loader->next();
    if (batch == nullptr) {
      loader->start(++epoch);
      batch = loader->next();
    }
    return inputs_of(*batch, device);
  };
}

// `round` is given the layers' weights in the order of the nodes: value, floats, codes to nearest.
template <typename Round>
void round_layers(const RoundingTask& task, LearnedRounding& learned, const Round& round) {
  const auto nearest = encode_weights(task.graph, task.placement, task.activations, task.config);
  for (const QuantLayer& layer : task.placement.layers) {
    const Value& weight = task.graph.value(layer.weight);
    RoundedWeight rounded = round(layer.weight, finite_floats(*weight.constant, weight.name), nearest.at(layer.weight));
    if (rounded.errors) learned.errors[layer.weight] = *rounded.errors;
    learned.weights.emplace(layer.weight, std::move(rounded.encoded));
  }
}

}  // namespace

SampleRuns sample_runs(const QuantizeOptions& options, const Dataset& samples, at::Device device) {
  return {samples, options.data, options.model, options.batch, static_cast<uint64_t>(options.compute.seed), device};
}

SequentialConfig adaround_config(const QuantizeOptions& options, const Dataset& samples) {
  SequentialConfig config;
  config.adaround.steps = options.rounding_steps;
  config.adaround.key = {static_cast<uint64_t>(options.compute.seed), random_stream("adaround")};
  config.budget.samples = samples.size();
  return config;
}

LearnedRounding round_by_gptq(const RoundingTask& task, const SampleRuns& runs) {
  LearnedRounding learned;
  const Clock::time_point start = Clock::now();
  std::vector<ValueId> weights;
  std::set<ValueId> inputs;
  for (const QuantLayer& layer : task.placement.layers) {
    weights.push_back(layer.weight);
    inputs.insert(layer.input);
  }
  const Graph running = running_graph(task.graph, inputs);
  const Executor executor(running, Constants::given, Weights::fixed);
  const Parameters parameters(running, runs.device, Training::off);
  const auto run = [&](const Observation& observation) {
    const c10::AutoGradMode no_grad(false);
    runs.for_each(
        task.graph, 1, std::numeric_limits<int64_t>::max(),
        [&](std::span<const at::Tensor> batch) { executor.run(parameters, batch, false, &observation); },
        observation.enough);
  };
  GptqRounding rounding(task.graph, weights, runs.device, run, hessian_rows);
  round_layers(task, learned, [&](ValueId weight, const std::vector<float>& values, EncodedWeight codes) {
    return rounding.round(weight, values, std::move(codes));
  });
  add_seconds(learned, start);
  return learned;
}

LearnedRounding round_by_adaround(const RoundingTask& task, const QuantizeOptions& options, const SampleRuns& runs,
                                  RunContext& context) {
  LearnedRounding learned;
  const Clock::time_point start = Clock::now();
  SequentialRounding rounding(task.graph, simulate_activations(task.graph, task.placement, task.activations),
                              runs.device, adaround_config(options, runs.samples),
                              [&](const auto& take) { runs.for_each(task.graph, take); });
  Progress progress("rounding", static_cast<int64_t>(task.placement.layers.size()),
                    progress_style(context.quiet, stderr));
  round_layers(task, learned, [&](ValueId weight, const std::vector<float>& values, EncodedWeight codes) {
    RoundedWeight rounded = rounding.round(weight, values, std::move(codes));
    progress.update(static_cast<int64_t>(learned.weights.size()) + 1, task.graph.value(weight).name);
    return rounded;
  });
  add_seconds(learned, start);
  return learned;
}

void tune_rounding(const RoundingTask& task, const SampleRuns& runs, int64_t steps, LearnedRounding& learned,
                   RunContext& context) {
  const Clock::time_point start = Clock::now();
  TuningConfig config;
  config.steps = steps;
  Progress progress("tuning", steps, progress_style(context.quiet, stderr));
  TunedValues tuned =
      tune_quantization(task.graph, task.placement, task.activations, learned.weights, config, runs.device,
                        endless_batches(runs, task.graph), [&](int64_t step) { progress.update(step, ""); });
  learned.report["tuning"] = {{"steps", steps}, {"loss_before", tuned.loss_before}, {"loss_after", tuned.loss_after}};
  learned.activations = std::move(tuned.activations);
  learned.biases = std::move(tuned.biases);
  for (auto& [weight, codes] : tuned.weights) {
    if (codes.codes != learned.weights.at(weight).codes) learned.errors.erase(weight);
    learned.weights.at(weight) = std::move(codes);
  }
  add_seconds(learned, start);
}

}  // namespace pare
