#include "commands/engine_run.hpp"

#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>

#include "src/core/error.hpp"
#include "src/core/threads.hpp"
#include "src/data/open_data.hpp"
#include "src/exec/fold_constants.hpp"
#include "src/exec/memory.hpp"
#include "src/graph/op_table.hpp"
#include "src/graph/passes/fold_batch_normalization.hpp"

namespace pare {
namespace {

at::Device device_named(const std::string& name) {
  const bool available = at::detail::getCUDAHooks().hasCUDA();
  if (name == "cpu" || (name == "auto" && !available)) return at::kCPU;
  if (!available) fail_usage("--device {}: no CUDA device is present; use --device cpu", name);
  return name.starts_with("cuda:") ? at::Device(name) : at::Device(at::kCUDA, 0);
}

}  // namespace

LoadedModel load_executable(const std::string& path) {
  LoadedModel loaded;
  loaded.model = load_model(path);
  with_context(path, [&] {
    loaded.graph = read_graph(loaded.model.onnx);
    check_supported(loaded.graph);
  });
  return loaded;
}

at::Device set_up_device(const ComputeOptions& options, RunContext& context) {
  keep_freed_memory();
  if (options.threads > 0) {
    set_threads(static_cast<int>(options.threads));
    at::set_num_threads(static_cast<int>(options.threads));
  }
  const at::Device device = device_named(options.device);
  context.report.device = {{"type", device.is_cuda() ? "cuda" : "cpu"}, {"threads", at::get_num_threads()}};
  return device;
}

DatasetPtr open_samples(const DataOptions& options, const std::string& path, const std::string& split, int64_t seed) {
  DatasetPtr dataset = open_data(path, options.data_kind, split);
  return options.limit > 0 ? limit(dataset, options.limit, static_cast<uint64_t>(seed)) : dataset;
}

DatasetPtr find_samples(const DataOptions& options, const std::string& path, const std::string& split, int64_t seed) {
  try {
    return open_samples(options, path, split, seed);
  } catch (const Error& error) {
    if (error.code() == ExitCode::usage) return nullptr;
    throw;
  }
}

void check_fits(const Graph& graph, const Dataset& dataset) {
  if (graph.inputs.size() != 1) fail_input("the model has {} inputs (expected 1)", graph.inputs.size());
  const Port& input = graph.inputs.front();
  const std::string& name = graph.value(input.value).name;
  const Shape& sample = dataset.sample_shape();
  if (input.ranked) {
    if (input.dims.size() != sample.size() + 1)
      fail_input("{}: samples of shape {} do not fit input '{}' (got {} dimensions, expected {} without the batch)",
                 dataset.name(), shape_text(sample), name, sample.size(), input.dims.size() - 1);
    for (size_t i = 0; i < sample.size(); ++i)
      if (input.dims[i + 1].size >= 0 && input.dims[i + 1].size != sample[i])
        fail_input("{}: samples of shape {} do not fit input '{}' in dimension {} (got {}, expected {})",
                   dataset.name(), shape_text(sample), name, i + 1, sample[i], input.dims[i + 1].size);
  }
  const auto& output = graph.value(graph.outputs.front().value).shape;
  if (dataset.labelled() && output && output->size() == 2 && output->back() > 0) check_labels(dataset, output->back());
}

Preprocess preprocess_of(const DataOptions& options) { return {options.scale, options.mean, options.std}; }

Evaluation evaluate_samples(const Executor& executor, const Parameters& parameters, const Dataset& dataset,
                            const DataOptions& options, int64_t batch, at::Device device) {
  LoaderConfig config;
  config.batch = std::min(batch, dataset.size());
  config.preprocess = preprocess_of(options);
  Loader loader(dataset, config);
  Evaluation result;
  result.outputs = predict(executor, parameters, loader, dataset.sample_shape(), device);
  if (dataset.labelled()) result.metrics = measure(result.outputs.front(), labels_of(dataset));
  return result;
}

Graph inference_graph(const Graph& graph) {
  Graph inference = graph;
  fold_constants(inference);
  fold_batch_normalization(inference);
  verify(inference);
  return inference;
}

Evaluation evaluate_samples(const Graph& graph, const Dataset& dataset, const DataOptions& options, int64_t batch,
                            at::Device device) {
  const Graph inference = inference_graph(graph);
  const Executor executor(inference);
  const Parameters parameters(inference, device, Training::off);
  return evaluate_samples(executor, parameters, dataset, options, batch, device);
}

}  // namespace pare
