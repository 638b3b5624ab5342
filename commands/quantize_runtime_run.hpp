// A quantized file in ONNX Runtime, where one is found.
#pragma once

#include <optional>
#include <span>

#include "commands/quantize.hpp"
#include "commands/runner_run.hpp"
#include "compress/qdq_placement.hpp"

namespace pare {

// Loads the quantized model there once. Without ONNX Runtime, where no .onnx file is wanted, and for models of 2 GB,
// nothing is done.
class RuntimeCheck {
 public:
  // `options`, `original` and `context` must outlive the check.
  RuntimeCheck(const QuantizeOptions& options, const LoadedModel& original, at::Device device, RunContext& context);

  // Whether measure() can give metrics.speedup.
  bool measures_speedup() const;

  // Throws (exit 1) when ONNX Runtime, as it optimizes by default, takes the original but not `quantized`, which is not
  // written yet; with --profile tensorrt that is a warning. Of a model that it takes, fills integer_kernels().
  void require_takes(const OnnxModel& quantized);

  // What of it is computed in integers, as result.integer_kernels is; null where that is not known.
  const Json& integer_kernels() const { return kernels_; }

  // metrics.speedup, the original's time over that of the model that was taken, on `inputs`, with a warning where that
  // is below 1. Lets go of the model.
  void measure(std::span<const at::Tensor> inputs);

 private:
  std::optional<std::string> refusal(const OnnxModel& quantized);

  const QuantizeOptions& options_;
  const LoadedModel& original_;
  at::Device device_;
  RunContext& context_;
  Runtimes runtimes_;
  OrtConfig config_;
  std::unique_ptr<Runner> quantized_;
  Json kernels_;
};

// result.integer_kernels as the placement lets expect them.
Json planned_kernels(const Graph& graph, const QuantPlacement& placement);

// "17 of 18 convolutions, 3 of 3 matrix products", of result.integer_kernels.
std::string integer_kernels_text(const Json& kernels);

}  // namespace pare
