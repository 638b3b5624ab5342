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

DatasetPtr limited(DatasetPtr dataset, const DataOptions& options, int64_t seed) {
  return options.limit > 0 ? limit(dataset, options.limit, static_cast<uint64_t>(seed)) : dataset;
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
  return limited(open_data(path, {options.data_kind, split, false, options.labels}), options, seed);
}

DatasetPtr find_samples(const DataOptions& options, const std::string& path, const std::string& split, int64_t seed) {
  try {
    return limited(open_data(path, {options.data_kind, split, true, options.labels}), options, seed);
  } catch (const Error& error) {
    if (error.code() == ExitCode::usage) return nullptr;
    throw;
  }
}

Binding bind_samples(const Graph& graph, const Dataset& dataset, const DataOptions& options) {
  std::vector<NamedBinding> named;
  for (const std::string& text : options.inputs) {
    auto [input, key] = split_binding(text);
    named.push_back({std::move(input), std::move(key)});
  }
  Binding binding = bind_inputs(graph, dataset, named);
  const auto& output = graph.value(graph.outputs.front().value).shape;
  if (dataset.labelled() && output && output->size() == 2 && output->back() > 0) check_labels(dataset, output->back());
  return binding;
}

Preprocess preprocess_of(const DataOptions& options) {
  return {options.scale > 0 ? std::optional(options.scale) : std::nullopt, options.mean, options.std};
}

Evaluation evaluate_samples(const Executor& executor, const Parameters& parameters, const Binding& binding,
                            const Dataset& dataset, const DataOptions& options, int64_t batch, at::Device device) {
  LoaderConfig config;
  config.batch = std::min(batch, dataset.size());
  config.preprocess = preprocess_of(options);
  config.binding = binding;
  Loader loader(dataset, config);
  Evaluation result;
  result.outputs = predict(executor, parameters, loader, device);
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
  return evaluate_samples(executor, parameters, bind_samples(graph, dataset, options), dataset, options, batch, device);
}

}  // namespace pare
