// pare quantize MODEL: weights and activations as integers, without training.
#pragma once

#include "commands/command.hpp"
#include "commands/options_output.hpp"

namespace pare {

// Metrics: bytes_ratio with a single output.
struct QuantizeOptions {
  std::string model;
  std::string weights = "int8";      // int8 | int4 | int3 | int2
  std::string activations = "none";  // none
  std::string granularity;           // tensor | channel | block:N; empty: block:32
  std::string calibration = "mse";   // of weights: minmax | mse
  std::vector<std::string> include;  // globs over tensor or node names; empty: all that can be quantized
  std::vector<std::string> exclude;
  ComputeOptions compute;
  ModelOutputOptions output;
  ReportOptions report;
};

CommandLine add_quantize(CLI::App& app);
// Weights alone, without data and without LibTorch.
ExitCode run_quantize_weights(const QuantizeOptions& options, RunContext& context);

}  // namespace pare
