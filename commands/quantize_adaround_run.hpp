// Rounding that is learned on samples, of weights whose activations are quantized too.
#pragma once

#include "commands/engine_run.hpp"
#include "commands/quantize.hpp"
#include "compress/static_quantizer.hpp"

namespace pare {

// By value: the weights' codes, what their layers' outputs lose by them (with the activations as they were given), and
// activations and biases where they were tuned afterwards.
struct LearnedRounding {
  std::map<ValueId, EncodedWeight> weights;
  std::map<ValueId, OutputErrors> errors;
  std::map<ValueId, ActivationCodes> activations;
  std::map<ValueId, Tensor> biases;
  Json report;  // for the report's result: rounding_seconds, and tuning
};

// What a static quantization is rounded for.
struct RoundingTask {
  const Graph& graph;
  const QuantPlacement& placement;
  const std::map<ValueId, ActivationCodes>& activations;
  const StaticConfig& config;
};

// Rounds the placement's weights as --rounding says, then tunes activations and biases by --tune-steps.
LearnedRounding learn_rounding(const RoundingTask& task, const QuantizeOptions& options, const Dataset& samples,
                               at::Device device, RunContext& context);

}  // namespace pare
