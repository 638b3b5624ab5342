// What the commands that run models share: device, models with their graphs, data that fits them, evaluation.
#pragma once

#include <limits>

#include "commands/options_compute.hpp"
#include "commands/options_data.hpp"
#include "commands/run_context.hpp"
#include "formats/model_io.hpp"
#include "src/data/loader.hpp"
#include "src/exec/executor.hpp"
#include "src/train/agreement.hpp"
#include "src/train/metrics.hpp"

namespace pare {

struct LoadedModel {
  Model model;
  Graph graph;
};

// Reads a model that can be executed; errors name the file.
LoadedModel load_executable(const std::string& path);

// Sets the thread count, and returns the device to run on; fills the report's `device`. Throws (exit 2) when it is
// absent.
at::Device set_up_device(const ComputeOptions& options, RunContext& context);

// What samples are opened for.
struct SampleUse {
  const DataOptions& options;
  const Graph& graph;  // the model that takes them
  RunContext& context;
  int64_t seed = 0;
};

// Opens one split of a data set and applies --limit.
DatasetPtr open_samples(const SampleUse& use, const std::string& path, const std::string& split);
// The same, or null when the data has no such split.
DatasetPtr find_samples(const SampleUse& use, const std::string& path, const std::string& split);
// What results are measured on: --val, else the test part of --data; null when there is neither.
DatasetPtr open_validation(const SampleUse& use);

// Binds the model's inputs to the data as the options say, and checks labels against the first output's classes. Throws
// (exit 3) when they do not fit, with both sides named.
Binding bind_samples(const Graph& graph, const Dataset& dataset, const DataOptions& options);

// Throws (exit 3) naming an input of another float type than float32: weights are trained, and scored, in float32.
void require_float32(const Graph& graph);

// Runs two of the samples, where batches have more than one. Throws (exit 3) for outputs without a batch dimension.
void check_outputs(const Graph& graph, const Dataset& dataset, const DataOptions& options, int64_t batch,
                   at::Device device);

// The graph as it runs without gradients: constants, batch normalizations and scalings are folded, activations fused.
Graph inference_graph(const Graph& graph);

// A model that only runs.
class InferenceModel {
 public:
  InferenceModel(const Graph& graph, at::Device device);
  // The outputs in the order of Graph::outputs, on the device.
  std::vector<at::Tensor> run(std::span<const at::Tensor> inputs) const;
  const Executor& executor() const { return executor_; }
  const Parameters& parameters() const { return parameters_; }

 private:
  Graph graph_;
  Executor executor_;
  Parameters parameters_;
};

Preprocess preprocess_of(const DataOptions& options);
// All samples in order, in batches of at most that many.
LoaderConfig loader_config(const Binding& binding, const Dataset& dataset, const DataOptions& options, int64_t batch);

// Outputs of a model for all samples in order, with the labels' metrics.
struct Evaluation {
  std::vector<at::Tensor> outputs;  // in the order of Graph::outputs; the first holds the logits
  Metrics metrics;
};
Evaluation evaluate_samples(const Executor& executor, const Parameters& parameters, const Binding& binding,
                            const Dataset& dataset, const DataOptions& options, int64_t batch, at::Device device);
Evaluation evaluate_samples(const Graph& graph, const Dataset& dataset, const DataOptions& options, int64_t batch,
                            at::Device device);

// The float outputs of `graph` against those of `reference` for all samples, or the first batches that hold `most`: the
// memory does not grow with their number. Both have the same inputs and outputs.
PowerSums compare_samples(const Graph& graph, const Graph& reference, const Dataset& dataset,
                          const DataOptions& options, int64_t batch, at::Device device,
                          int64_t most = std::numeric_limits<int64_t>::max());

}  // namespace pare
