// Rounding by samples of weights whose activations are quantized too.
#pragma once

#include "commands/calibration_run.hpp"
#include "commands/quantize.hpp"
#include "compress/sequential_rounding.hpp"
#include "compress/static_quantizer.hpp"

namespace pare {

// By value: the weights' codes, what their layers' outputs lose by them (without those that were tuned afterwards), and
// activations and biases where they were tuned.
struct LearnedRounding {
  std::map<ValueId, EncodedWeight> weights;
  std::map<ValueId, OutputErrors> errors;
  std::map<ValueId, ActivationCodes> activations;
  std::map<ValueId, Tensor> biases;
  Json report = Json::object();  // for the report's result: rounding_seconds, and tuning
};

// What a static quantization is rounded for.
struct RoundingTask {
  const Graph& graph;
  const QuantPlacement& placement;
  const std::map<ValueId, ActivationCodes>& activations;
  const StaticConfig& config;
};

// `samples`, which must live on, as the options run them.
SampleRuns sample_runs(const QuantizeOptions& options, const Dataset& samples, at::Device device);

SequentialConfig adaround_config(const QuantizeOptions& options, const Dataset& samples);

// The placement's weights by the Hessians of what their layers are given in float, on the first samples.
LearnedRounding round_by_gptq(const RoundingTask& task, const SampleRuns& runs);

// The placement's weights layer after layer, each behind what was quantized before.
LearnedRounding round_by_adaround(const RoundingTask& task, const QuantizeOptions& options, const SampleRuns& runs,
                                  RunContext& context);

// Tunes what was rounded, and activations and biases, by the outputs.
void tune_rounding(const RoundingTask& task, const SampleRuns& runs, int64_t steps, LearnedRounding& learned,
                   RunContext& context);

}  // namespace pare
