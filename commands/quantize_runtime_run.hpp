// A quantized file in ONNX Runtime, where one is found.
#pragma once

#include <span>

#include "commands/engine_run.hpp"
#include "commands/quantize.hpp"
#include "compress/qdq_placement.hpp"

namespace pare {

struct RuntimeCheck {
  const QuantizeOptions& options;
  const LoadedModel& original;
  at::Device device;
};

// Throws (exit 1) when ONNX Runtime, as it optimizes by default, takes the original but not `quantized`, which is not
// written yet; with --profile tensorrt that is a warning. Without ONNX Runtime, and where no .onnx file is wanted,
// nothing is done.
void require_runtime_takes(const RuntimeCheck& check, const OnnxModel& quantized, RunContext& context);

// Whether measure_in_runtime() can give metrics.speedup.
bool measures_speedup(const RuntimeCheck& check);

// Opens the first written .onnx file in ONNX Runtime. Fills result.integer_kernels, what is computed in integers, and
// metrics.speedup, the original's time over the file's on `inputs`, with a warning where that is below 1. Without ONNX
// Runtime, without an .onnx file, and where it does not load, nothing is done.
void measure_in_runtime(const RuntimeCheck& check, std::span<const at::Tensor> inputs, RunContext& context);

// result.integer_kernels as the placement lets expect them.
Json planned_kernels(const Graph& graph, const QuantPlacement& placement);

// "17 of 18 convolutions, 3 of 3 matrix products", of result.integer_kernels.
std::string integer_kernels_text(const Json& kernels);

}  // namespace pare
