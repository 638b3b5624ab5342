#include "commands/runner_run.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

#include <ATen/ops/empty.h>

#include "commands/onnx_runtime.hpp"
#include "src/core/error.hpp"
#include "src/exec/tensors.hpp"

namespace pare {
namespace {

class PareRunner final : public Runner {
 public:
  PareRunner(const Graph& graph, at::Device device) : model_(graph, device), device_(device) {}

  std::vector<at::Tensor> run(const Batch& batch) const override {
    std::vector<at::Tensor> outputs = model_.run(inputs_of(batch, device_));
    for (at::Tensor& output : outputs) output = output.to(at::kCPU);
    return outputs;
  }

 private:
  InferenceModel model_;
  at::Device device_;
};

class OrtRunner final : public Runner {
 public:
  OrtRunner(OrtSession session, const Graph& graph) : session_(std::move(session)) {
    for (const Port& port : graph.inputs) inputs_.push_back(graph.value(port.value).name);
    for (const Port& port : graph.outputs) outputs_.push_back(graph.value(port.value).name);
  }

  std::vector<at::Tensor> run(const Batch& batch) const override {
    std::vector<TensorView> inputs;
    for (const BatchArray& array : batch.inputs) inputs.push_back({array.dtype, array.shape, array.data});
    std::vector<at::Tensor> outputs;
    for (const Tensor& output : session_.run(inputs_, inputs, outputs_)) outputs.push_back(to_aten(output));
    return outputs;
  }

 private:
  OrtSession session_;
  std::vector<std::string> inputs_, outputs_;
};

}  // namespace

std::unique_ptr<Runner> make_pare_runner(const Graph& graph, at::Device device) {
  return std::make_unique<PareRunner>(graph, device);
}

std::unique_ptr<Runner> make_ort_runner(const OrtLibrary& library, const LoadedModel& model, const OrtConfig& config) {
  return with_context(model.model.path, [&] {
    OrtSession session = model.model.format == "onnx" ? OrtSession::from_file(library, model.model.path, config)
                                                      : OrtSession(library, model.model.onnx.bytes.text(), config);
    return make_ort_runner(std::move(session), model.graph);
  });
}

std::unique_ptr<Runner> make_ort_runner(OrtSession session, const Graph& graph) {
  return std::make_unique<OrtRunner>(std::move(session), graph);
}

std::string Runtimes::name() const {
  const std::string own = "pare " PARE_VERSION;
  if (!ort) return own;
  const std::string theirs = "ONNX Runtime " + ort->version();
  return pare ? theirs + ", " + own : theirs;
}

Runtimes find_runtimes(const std::string& text) {
  Runtimes runtimes;
  runtimes.pare = text == "pare" || text == "both";
  if (text == "pare") return runtimes;
  const std::string path = text.starts_with("ort:") ? text.substr(4) : find_onnx_runtime();
  if (!path.empty()) runtimes.ort.emplace(path);
  else if (text == "auto") runtimes.pare = true;
  else
    fail_usage(
        "--runtime {}: no ONNX Runtime found (looked at PARE_ORT, at the onnxruntime of python3 and in the cache); run "
        "`pip install onnxruntime`, or give --runtime ort:LIB",
        text);
  return runtimes;
}

SyntheticBatch synthetic_batch(const Graph& graph, int64_t size, const InputShapes& shapes) {
  check_input_shapes(graph, shapes);
  SyntheticBatch made;
  for (const Port& port : graph.inputs) {
    const Value& value = graph.value(port.value);
    BatchArray array{value.dtype, {}, nullptr};
    const auto given = shapes.find(value.name);
    if (!port.ranked) fail_input("input '{}' has no declared shape; give --data", value.name);
    for (size_t i = 0; i < port.dims.size(); ++i) {
      int64_t known = port.dims[i].size;
      if (known < 0 && i != 0 && given != shapes.end()) known = given->second[i];
      if (known < 0 && i != 0)
        fail_input("input '{}': dimension {} has no fixed size; give --shape or --data", value.name, i);
      array.shape.push_back(known < 0 ? size : known);
    }
    made.memory.push_back(
        Bytes::allocate(static_cast<size_t>(element_count(array.shape) * dtype_bits(array.dtype) / 8), &array.data));
    made.batch.inputs.push_back(std::move(array));
  }
  made.batch.size = made.batch.rows = size;
  return made;
}

Latency time_runner(const Runner& runner, const Batch& batch) {
  using Clock = std::chrono::steady_clock;
  constexpr int warm_up = 5;
  constexpr size_t least_runs = 20;
  constexpr double least_seconds = 0.5;
  for (int i = 0; i < warm_up; ++i) runner.run(batch);
  std::vector<double> times;
  double total = 0;
  while (times.size() < least_runs || total < least_seconds) {
    const auto start = Clock::now();
    runner.run(batch);
    times.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    total += times.back();
  }
  std::sort(times.begin(), times.end());
  return {1e3 * times[times.size() / 2], 1e3 * times[times.size() * 95 / 100]};
}

}  // namespace pare
