// A model ready to run on batches, in pare's executor or in ONNX Runtime.
#pragma once

#include <memory>
#include <optional>

#include "commands/engine_run.hpp"
#include "src/exec/ort_runtime.hpp"
#include "src/graph/input_shapes.hpp"

namespace pare {

class Runner {
 public:
  virtual ~Runner() = default;
  // The outputs for a batch, on the CPU, in the order of Graph::outputs.
  virtual std::vector<at::Tensor> run(const Batch& batch) const = 0;
};

// The graph as pare runs it without gradients.
std::unique_ptr<Runner> make_pare_runner(const Graph& graph, at::Device device);

// The model in ONNX Runtime: an .onnx file is given by its path, anything else as ONNX bytes.
std::unique_ptr<Runner> make_ort_runner(const OrtLibrary& library, const LoadedModel& model, const OrtConfig& config);

// A session of a model with the inputs and outputs of `graph`.
std::unique_ptr<Runner> make_ort_runner(OrtSession session, const Graph& graph);

// What --runtime comes to.
struct Runtimes {
  bool pare = false;
  std::optional<OrtLibrary> ort;

  // "ONNX Runtime 1.32.0", "pare 0.1.0"
  std::string name() const;
};

// `text` is as in EvaluateOptions. Throws (exit 2) when ONNX Runtime is asked for and not found. `auto` is ONNX Runtime
// where it is found, else pare.
Runtimes find_runtimes(const std::string& text);

// A batch of `size` made of the declared input shapes, filled with zeros; `shapes` has the sizes that the model leaves
// open but for the first, which `size` then is. Throws (exit 3) when a dimension that is not the first is not known,
// and as check_input_shapes() does.
struct SyntheticBatch {
  std::vector<Bytes> memory;
  Batch batch;
};
SyntheticBatch synthetic_batch(const Graph& graph, int64_t size, const InputShapes& shapes);

struct Latency {
  double p50 = 0;  // milliseconds
  double p95 = 0;
};

// Times runs of a batch after five that are not counted: at least 20 runs and half a second of them.
Latency time_runner(const Runner& runner, const Batch& batch);

}  // namespace pare
