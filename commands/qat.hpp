// pare qat MODEL: trains with the rounding that the exported file has, and writes that file.
#pragma once

#include "commands/training_command.hpp"

namespace pare {

// Metrics: accuracy, accuracy_before, accuracy_drop, loss, agreement, and bytes_ratio with a single output. Result:
// float_values (name and the noise it would add to the outputs), the values that stay float with 8-bit activations.
struct QatOptions : TrainingCommand {
  std::string model;
  std::string weights = "int8";       // int8 | int4 | int3 | int2
  std::string activations = "uint8";  // uint8 | int8 | int4 | int3 | int2 | none
  bool weights_given = false;         // on the command line, as the next one; a quantized file has bits of its own
  bool activations_given = false;
  std::string quantizer = "lsq";    // lsq | minmax | pact
  int64_t outer_bits = 8;           // of weights and inputs of the first and last layer; 0: as the others
  std::vector<std::string> bits;    // "GLOB=B": bits of the weights that match
  std::string calibration = "mse";  // minmax | percentile:P | entropy | mse
  int64_t calibration_samples = 512;
  int64_t freeze_batch_norm = 0;     // steps after which batch statistics are frozen; 0: as --batch-norm says
  int64_t opset = 0;                 // 21: INT4 weights; 0: int8 that holds fewer bits
  std::vector<std::string> include;  // globs over tensor or node names; empty: all that can be quantized
  std::vector<std::string> exclude;
};

CommandLine add_qat(CLI::App& app);
ExitCode run_qat(const QatOptions& options, RunContext& context);

// The bits of "GLOB=B" that match the weight or its node, the last one wins; `otherwise` where none does.
int64_t bits_of(const std::vector<std::string>& rules, const std::string& weight, const std::string& node,
                int64_t otherwise);

}  // namespace pare
