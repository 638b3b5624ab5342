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

// Opens every written .onnx file in ONNX Runtime as it optimizes by default. When it refuses one although it takes the
// original, all written files are removed (exit 1); with --profile tensorrt that is a warning. Fills
// result.integer_kernels, what is computed in integers, and metrics.speedup, the original's time over the file's on
// `inputs`, with a warning where that is below 1. Without ONNX Runtime, and without an .onnx file, nothing is done.
void check_in_runtime(const RuntimeCheck& check, std::span<const at::Tensor> inputs, RunContext& context);

// result.integer_kernels as the placement lets expect them.
Json planned_kernels(const Graph& graph, const QuantPlacement& placement);

// "17 of 18 convolutions, 3 of 3 matrix products", of result.integer_kernels.
std::string integer_kernels_text(const Json& kernels);

}  // namespace pare
