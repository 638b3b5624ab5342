#include "commands/engine_run.hpp"

#include <cstdlib>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>

#include "src/core/error.hpp"
#include "src/core/threads.hpp"
#include "src/data/open_data.hpp"
#include "src/exec/fold_constants.hpp"
#include "src/exec/memory.hpp"
#include "src/exec/tensors.hpp"
#include "src/graph/op_table.hpp"
#include "src/graph/passes/fold_batch_normalization.hpp"
#include "src/graph/passes/fold_scaling.hpp"
#include "src/graph/passes/fold_sizes.hpp"
#include "src/graph/passes/fuse_activations.hpp"
#include "src/graph/shape_rules.hpp"

namespace pare {
namespace {

at::Device device_named(const std::string& name) {
  const bool available = at::detail::getCUDAHooks().hasCUDA();
  if (name == "cpu" || (name == "auto" && !available)) return at::kCPU;
  if (!available) fail_usage("--device {}: no CUDA device is present; use --device cpu", name);
  return name.starts_with("cuda:") ? at::Device(name) : at::Device(at::kCUDA, 0);
}

std::vector<NamedBinding> named_bindings(const DataOptions& options) {
  std::vector<NamedBinding> named;
  for (const std::string& text : options.inputs) {
    auto [input, key] = split_binding(text);
    named.push_back({std::move(input), std::move(key)});
  }
  return named;
}

Layout layout_of(const DataOptions& options) {
  return options.layout == "nhwc" ? Layout::nhwc : options.layout == "nchw" ? Layout::nchw : Layout::unknown;
}

// Results that depend neither on the number of threads nor on which thread or block of a device comes first. On CPU,
// matrix products and convolutions split their sums by the number of threads, so that one thread computes; samples are
// prepared by others. On CUDA an operator that has no such form is an error, by name.
void compute_deterministically() {
  at::set_num_threads(1);
  at::globalContext().setDeterministicAlgorithms(true, false);
  at::globalContext().setDeterministicCuDNN(true);
  at::globalContext().setBenchmarkCuDNN(false);
  // Read by cuBLAS when it starts: https://docs.nvidia.com/cuda/cublas, "Results reproducibility".
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
}

DatasetPtr open_part(const SampleUse& use, const std::string& path, const std::string& split, bool only_split) {
  const DataOptions& options = use.options;
  DataRequest request{options.data_kind, split, only_split, options.labels};
  request.graph = &use.graph;
  request.named = named_bindings(options);
  request.shapes = parse_input_shapes(options.shapes);
  check_input_shapes(use.graph, request.shapes);
  request.layout = layout_of(options);
  request.resize = parse_image_size("--resize", options.resize, true);
  request.crop = parse_image_size("--crop", options.crop, false);
  request.limit = options.limit;
  request.warn = [&](const std::string& text) { use.context.warn(text); };
  DatasetPtr dataset = open_data(path, request);
  return options.limit > 0 ? limit(dataset, options.limit, static_cast<uint64_t>(use.seed)) : dataset;
}

}  // namespace

LoadedModel load_executable(const std::string& path) {
  LoadedModel loaded;
  loaded.model = load_model(path);
  with_context(path, [&] {
    loaded.graph = read_graph(loaded.model.onnx);
    check_supported(loaded.graph);
    align_constants(loaded.graph);
  });
  return loaded;
}

at::Device set_up_device(const ComputeOptions& options, RunContext& context) {
  keep_freed_memory();
  if (options.threads > 0) {
    set_threads(static_cast<int>(options.threads));
    at::set_num_threads(static_cast<int>(options.threads));
  }
  if (options.deterministic) compute_deterministically();
  const at::Device device = device_named(options.device);
  context.report.device = {{"type", device.is_cuda() ? "cuda" : "cpu"}, {"threads", at::get_num_threads()}};
  return device;
}

DatasetPtr open_samples(const SampleUse& use, const std::string& path, const std::string& split) {
  return open_part(use, path, split, false);
}

DatasetPtr find_samples(const SampleUse& use, const std::string& path, const std::string& split) {
  try {
    return open_part(use, path, split, true);
  } catch (const Error& error) {
    if (error.code() == ExitCode::usage) return nullptr;
    throw;
  }
}

DatasetPtr open_validation(const SampleUse& use) {
  const DataOptions& options = use.options;
  return options.val.empty() ? find_samples(use, options.data, "test") : open_samples(use, options.val, "test");
}

Binding bind_samples(const Graph& graph, const Dataset& dataset, const DataOptions& options) {
  Binding binding = bind_inputs(graph, dataset, named_bindings(options), layout_of(options));
  const auto& output = graph.value(graph.outputs.front().value).shape;
  if (dataset.labelled() && output && output->size() == 2 && output->back() > 0) check_labels(dataset, output->back());
  return binding;
}

void require_float32(const Graph& graph) {
  for (const Port& input : graph.inputs) {
    const Value& value = graph.value(input.value);
    if (is_float(value.dtype) && value.dtype != DType::float32)
      fail_input("input '{}' is {}: only models of float32 are trained or scored by samples", value.name,
                 dtype_name(value.dtype));
  }
}

void check_outputs(const Graph& graph, const Dataset& dataset, const DataOptions& options, int64_t batch,
                   at::Device device) {
  if (std::min(batch, dataset.size()) < 2) return;
  const InferenceModel model(graph, device);
  Loader loader(dataset, loader_config(bind_samples(graph, dataset, options), dataset, options, 2));
  loader.start(0);
  if (const Batch* const first = loader.next()) rows_of(model.run(inputs_of(*first, device)), *first);
}

Preprocess preprocess_of(const DataOptions& options) {
  return {options.scale > 0 ? std::optional(options.scale) : std::nullopt, options.mean, options.std};
}

LoaderConfig loader_config(const Binding& binding, const Dataset& dataset, const DataOptions& options, int64_t batch) {
  LoaderConfig config;
  config.batch = std::min(batch, dataset.size());
  config.preprocess = preprocess_of(options);
  config.binding = binding;
  return config;
}

Evaluation evaluate_samples(const Executor& executor, const Parameters& parameters, const Binding& binding,
                            const Dataset& dataset, const DataOptions& options, int64_t batch, at::Device device) {
  Loader loader(dataset, loader_config(binding, dataset, options, batch));
  Evaluation result;
  result.outputs = predict(executor, parameters, loader, device);
  if (dataset.labelled()) result.metrics = measure(result.outputs.front(), labels_of(dataset));
  return result;
}

Graph inference_graph(const Graph& graph) {
  Graph inference = graph;
  fold_constants(inference);
  fold_batch_normalization(inference);
  infer_shapes(inference);
  fold_scaling(inference);
  fuse_activations(inference);
  remove_dead_nodes(inference);
  verify(inference);
  return inference;
}

InferenceModel::InferenceModel(const Graph& graph, at::Device device)
    : graph_(inference_graph(graph)),
      executor_(graph_, Constants::given, Weights::fixed),
      parameters_(graph_, device, Training::off) {}

std::vector<at::Tensor> InferenceModel::run(std::span<const at::Tensor> inputs) const {
  const c10::AutoGradMode no_grad(false);
  return executor_.run(parameters_, inputs, false);
}

Evaluation evaluate_samples(const Graph& graph, const Dataset& dataset, const DataOptions& options, int64_t batch,
                            at::Device device) {
  const InferenceModel model(graph, device);
  return evaluate_samples(model.executor(), model.parameters(), bind_samples(graph, dataset, options), dataset, options,
                          batch, device);
}

PowerSums compare_samples(const Graph& graph, const Graph& reference, const Dataset& dataset,
                          const DataOptions& options, int64_t batch, at::Device device, int64_t most) {
  constexpr int64_t kept_samples = 64;
  const auto for_each_batch = [&](const auto& see) {
    Loader loader(dataset,
                  loader_config(bind_samples(reference, dataset, options), dataset, options, std::min(batch, most)));
    loader.start(0);
    for (int64_t seen = 0; seen < most; seen += batch) {
      const Batch* const next = loader.next();
      if (next == nullptr) break;
      see(*next, inputs_of(*next, device));
    }
  };
  PowerSums sums;
  if (std::min(most, dataset.size()) > kept_samples) {
    const InferenceModel own(graph, device), wanted(reference, device);
    for_each_batch([&](const Batch& samples, const std::vector<at::Tensor>& inputs) {
      sums.add(rows_of(own.run(inputs), samples), rows_of(wanted.run(inputs), samples));
    });
    return sums;
  }
  // Outputs of so few take less memory than a second model.
  std::vector<std::vector<at::Tensor>> wanted;
  const auto run = [&](const Graph& model, const auto& see) {
    const InferenceModel inference(model, device);
    for_each_batch([&](const Batch& samples, const std::vector<at::Tensor>& inputs) {
      see(rows_of(inference.run(inputs), samples));
    });
  };
  run(reference, [&](std::vector<at::Tensor> outputs) { wanted.push_back(std::move(outputs)); });
  size_t compared = 0;
  run(graph, [&](const std::vector<at::Tensor>& outputs) { sums.add(outputs, wanted[compared++]); });
  return sums;
}

}  // namespace pare
