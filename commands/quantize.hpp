// pare quantize MODEL: weights and activations as integers, without training.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "commands/command.hpp"
#include "commands/options_data.hpp"
#include "commands/options_output.hpp"
#include "compress/weight_bits.hpp"

namespace pare {

// Metrics: bytes_ratio with a single output; with samples cosine and snr_db of the outputs against the input's (on the
// test samples where there are some, else on those that calibrate, of unlabelled ones on 32); with labels accuracy,
// accuracy_before, accuracy_drop, loss. Result: with samples float_values (name, node and the noise it
// would add to the outputs), the values that stay float for the outputs' sake; equalized and smoothed (numbers of
// places), corrected_biases (layer, shift) where these were asked for; integer_kernels (source, convolutions, products:
// integer, all), and where ONNX Runtime is found metrics.speedup.
struct QuantizeOptions {
  std::string model;
  std::string weights = "int8";  // int8 | int4 | int3 | int2
  // uint8 | int8 | int4 | int3 | int2 | dynamic | none; empty: by profile with data, none without, and with --rounding
  // gptq or --bits-budget.
  std::string activations;
  int64_t outer_bits = 0;           // of the first and last layer, with activations; 0: as the others
  std::string granularity;          // tensor | channel | block:N; empty: channel with activations, else block:32
  std::string calibration = "mse";  // minmax | percentile:P | entropy | mse
  bool symmetric = false;           // activations
  std::string rounding;             // nearest | gptq | adaround; empty: gptq with activations and samples, else nearest
  int64_t rounding_steps = 1000;    // of adaround, a layer
  int64_t tune_steps = -1;          // with activations; below 0: 500 of adaround where those have few bits
  bool equalize = false, no_equalize = false;  // neither: with activations and samples
  double smooth = -1;                          // share of the range that moves into the weights; below 0: none
  bool bias_correct = false;
  int64_t opset = 0;                 // 21: weights of at most 4 bits are stored as INT4
  std::string profile = "ort";       // ort | tensorrt
  std::string target = "vnni";       // vnni | avx2
  double max_drop = -1;              // below 0: no limit
  std::string bits_budget;           // BYTES, or bits a weight as "3.5bpw"; empty: `weights` for all
  std::vector<std::string> include;  // globs over tensor or node names; empty: all that can be quantized
  std::vector<std::string> exclude;
  int64_t batch = 32;
  DataOptions data;
  ComputeOptions compute;
  ModelOutputOptions output;
  ReportOptions report;
};

// Replaces the errors of a weight's choices of bits by better ones. `config` is what the choices were made with.
using MeasureChoices =
    std::function<void(const Graph& graph, const WeightOnlyConfig& config, std::vector<WeightChoices>& weights)>;

// What weights are rounded with, given what else is configured; `graph` outlives it.
using MakeRounding = std::function<WeightRounding(const Graph& graph, const WeightOnlyConfig& config)>;

CommandLine add_quantize(CLI::App& app);
// Steps that tune what gptq or adaround has rounded: --tune-steps, by default only behind adaround where activations
// have few codes.
int64_t tuning_steps(const QuantizeOptions& options);
// Weights alone, or activations that are quantized at run time: without data and without LibTorch.
ExitCode run_quantize_weights(const QuantizeOptions& options, RunContext& context);
// The same, where --bits-budget chooses by `measure` (by the weights alone where it is empty), and what `rounding`
// gives rounds (to nearest where it is empty).
ExitCode quantize_weights(const QuantizeOptions& options, RunContext& context, const MeasureChoices& measure,
                          const MakeRounding& rounding);
// With --bits-budget by what the outputs of samples lose.
ExitCode run_quantize_budget(const QuantizeOptions& options, RunContext& context);
// Weights alone by --rounding gptq; with --bits-budget by `measure`.
ExitCode run_quantize_gptq(const QuantizeOptions& options, RunContext& context, const MeasureChoices& measure);
// Weights alone by --rounding adaround; with --bits-budget by `measure`.
ExitCode run_quantize_adaround(const QuantizeOptions& options, RunContext& context, const MeasureChoices& measure);
// Weights and activations, with samples; with --bits-budget as run_quantize_budget().
ExitCode run_quantize(const QuantizeOptions& options, RunContext& context);

}  // namespace pare
