#include "commands/quantize.hpp"

#include <CLI/App.hpp>

#include "commands/option_kinds.hpp"
#include "compress/observers.hpp"
#include "compress/weight_bits.hpp"
#include "src/core/error.hpp"

namespace pare {

// Null in executables that do not link quantize_run.cpp, or quantize_weights_run.cpp.
[[gnu::weak]] ExitCode run_quantize(const QuantizeOptions& options, RunContext& context);
[[gnu::weak]] ExitCode run_quantize_weights(const QuantizeOptions& options, RunContext& context);

namespace {

bool needs_samples(const QuantizeOptions& options) {
  return options.activations != "none" && options.activations != "dynamic";
}

// The options that depend on others.
void resolve(QuantizeOptions& options) {
  if (options.activations.empty())
    options.activations = options.data.data.empty() || !options.bits_budget.empty() || options.rounding == "gptq"
                              ? "none"
                          : options.profile == "tensorrt" ? "int8"
                                                          : "uint8";
  if (options.rounding.empty()) options.rounding = needs_samples(options) ? "gptq" : "nearest";
  options.equalize = options.equalize || (needs_samples(options) && !options.no_equalize);
  if (options.granularity.empty()) options.granularity = options.activations == "none" ? "block:32" : "channel";
}

std::string check_opset(const std::string& text) {
  return text == "0" || text == "21"
             ? ""
             : fmt::format(
                   "bad value (got '{}', expected 21 or 0): INT4 needs opset 21, and files are written with it "
                   "or the model's own where that is newer",
                   text);
}

// Whether samples tell how many bits each weight needs, or how it is rounded.
bool measures_weights(const QuantizeOptions& options) {
  return (!options.bits_budget.empty() || options.rounding != "nearest") && !options.data.data.empty() &&
         !needs_samples(options);
}

void check(const QuantizeOptions& options) {
  check_exists("MODEL", options.model, true);
  const Granularity granularity = Granularity::parse(options.granularity);
  const Calibration calibration = Calibration::parse(options.calibration);
  check_data_options(options.data);
  check_model_outputs(options.output);
  const std::string& activations = options.activations;
  if (options.smooth < 0 && options.smooth != -1)
    fail_usage("--smooth: bad share (got {}, expected 0 to 1); 0.5 is the paper's", options.smooth);
  if (!options.bits_budget.empty()) {
    BitsBudget::parse(options.bits_budget);
    if (activations != "none")
      fail_usage("--bits-budget: is for weights alone; give --activations none, or qat's --bits for each layer");
  }
  if (options.outer_bits == 1) fail_usage("--outer-bits: bad value (got 1, expected 0 or 2 to 8)");
  if (options.outer_bits > 0 && !needs_samples(options))
    fail_usage("--outer-bits: is for weights with activations; give --data, or --bits-budget for weights alone");
  if (options.rounding != "nearest") {
    if (activations == "dynamic")
      fail_usage("--rounding {}: is not for --activations dynamic; give --activations none, or --rounding nearest",
                 options.rounding);
    if (options.data.data.empty() && !needs_samples(options))
      fail_usage("--rounding {}: needs samples of the layers' inputs; give --data", options.rounding);
  }
  if (options.rounding != "adaround" && options.rounding_steps != QuantizeOptions().rounding_steps)
    fail_usage("--rounding-steps: is for --rounding adaround (got {})", options.rounding);
  if (options.rounding == "nearest" && options.tune_steps >= 0)
    fail_usage("--tune-steps: is for --rounding gptq or adaround (got nearest)");
  if (options.tune_steps > 0 && !needs_samples(options))
    fail_usage("--tune-steps: tunes the ranges of activations; give --activations, or leave it out");
  if (options.no_equalize && options.equalize) fail_usage("--no-equalize: contradicts --equalize");
  if (options.bias_correct && tuning_steps(options) > 0)
    fail_usage("--bias-correct: --tune-steps trains the biases already; leave one of them out, or give --tune-steps 0");
  if (!needs_samples(options)) {
    if (options.max_drop >= 0) fail_usage("--max-drop: is measured with quantized activations; give --data");
    const char* const method = options.equalize       ? "--equalize"
                               : options.smooth >= 0  ? "--smooth"
                               : options.bias_correct ? "--bias-correct"
                                                      : nullptr;
    if (method != nullptr)
      fail_usage("{}: is for quantized activations; give --data, and --activations uint8 or int8", method);
    if (activations == "dynamic" && (granularity.kind == Granularity::Kind::block || options.weights != "int8"))
      fail_usage("--activations dynamic: multiplies int8 weights with a scale a channel or tensor");
    if (!options.data.data.empty() && !measures_weights(options))
      fail_usage("--data: --activations {} needs no samples; leave it out", activations);
    if (calibration.method != CalibrationMethod::minmax && calibration.method != CalibrationMethod::mse)
      fail_usage("--calibration {}: weights alone have minmax or mse", options.calibration);
    return;
  }
  if (options.data.data.empty())
    fail_usage("--activations {}: needs samples to calibrate with; give --data, or --activations none", activations);
  if (granularity.kind == Granularity::Kind::block)
    fail_usage(
        "--granularity {}: no runtime multiplies blocks with quantized activations; use channel or tensor, or "
        "--activations none",
        options.granularity);
  if (options.profile == "tensorrt" && activations != "int8")
    fail_usage("--activations {}: TensorRT takes int8 with zero point 0 alone; use int8, or --profile ort",
               activations);
  if (options.profile == "ort" && activations == "int8")
    fail_usage(
        "--activations int8: ONNX Runtime's integer kernels want uint8 and everything around int8 falls to float; "
        "use uint8, or --profile tensorrt");
}

std::vector<std::string> models_of(const QuantizeOptions& options) {
  return models_with(options.model, options.output);
}

void add_quantization_options(CLI::App& app, QuantizeOptions& options) {
  app.option_defaults()->group("Quantization");
  add_choice(app, "--weights", {"int8", "int4", "int3", "int2"}, options.weights,
             "type of the weights; below int8 with activations they are written as int8 codes, else as int4");
  add_choice(
      app, "--activations", {"uint8", "int8", "int4", "int3", "int2", "dynamic", "none"}, options.activations,
      "none and dynamic (at run time) need no data [uint8 with --data, int8 for tensorrt; none without, and with "
      "--rounding gptq or --bits-budget]");
  add_integer(app, "--outer-bits", {0, 8}, options.outer_bits,
              "with activations: bits of the first and last layer's weights and inputs; 0: as the others");
  add_text(app, "--granularity", "tensor|channel|block:N", options.granularity,
           "weights that share a scale; blocks along K for weights alone [channel; block:32 for weights alone]");
  add_text(app, "--bits-budget", "BYTES|BPW", options.bits_budget,
           "weights alone: 8, 4, 3 or 2 bits each, at most --weights, so that codes and scales take BYTES, or 3.5bpw "
           "bits a weight, with the least error: of the weights, or with --data of the outputs");
  add_text(app, "--calibration", "minmax|percentile:P|entropy|mse", options.calibration,
           "how the range of activations is found; weights alone: minmax or mse");
  add_choice(app, "--rounding", {"nearest", "gptq", "adaround"}, options.rounding,
             "gptq, adaround: by what the layers' outputs on --data lose; adaround is learned, layer after layer [gptq "
             "with activations, else nearest]");
  add_integer(app, "--rounding-steps", {1, 1 << 24}, options.rounding_steps, "adaround: a layer");
  add_integer(
      app, "--tune-steps", {-1, 1 << 24}, options.tune_steps,
      "gptq, adaround: then steps that tune the activations' ranges, codes and biases by the outputs; -1: 500 for "
      "adaround below 8 bits, else none");
  add_flag(app, "--equalize", options.equalize,
           "scales of channels move between layers, so that the channels of what is rounded differ less in range "
           "[with activations]");
  add_flag(app, "--no-equalize", options.no_equalize, "all channels keep their scales");
  add_real(app, "--smooth", {-1, 1}, options.smooth,
           "0 to 1 (try 0.5): that share of the channels' ranges moves from what a MatMul or Gemm reads into its "
           "weight; -1: none");
  add_flag(app, "--bias-correct", options.bias_correct,
           "biases take back what rounding adds to the mean of each channel on --data");
  add_real(app, "--max-drop", at_least_zero, options.max_drop,
           "the most sensitive values and layers stay float until the accuracy (without labels: the cosine of the "
           "outputs, of 1) drops by no more; at most 8 evaluations; exit 5 when missed");
  add_flag(app, "--symmetric", options.symmetric, "activations around their middle code, or from zero");
  add_choice(app, "--profile", {"ort", "tensorrt"}, options.profile,
             "where Q/DQ lie: for ONNX Runtime's integer kernels, or TensorRT's (slow in ONNX Runtime)");
  add_choice(app, "--target", {"vnni", "avx2"}, options.target, "avx2: 7-bit weights, for x86 without VNNI");
  add_integer(app, "--opset", {0, 21}, options.opset,
              "21: weights of up to 4 bits become INT4 with activations, too; 0: int8 there")
      ->check(check_opset, "");
  add_integer(app, "--batch", {1, 1 << 24}, options.batch, "samples at once");
  add_texts(app, "--include", "GLOB", options.include, "quantize only tensors or nodes of this name; repeatable");
  add_texts(app, "--exclude", "GLOB", options.exclude, "leave tensors or nodes of this name float; repeatable");
}

std::vector<std::string> measurable_of(const QuantizeOptions& options) {
  auto names = joined({measurable_of_model(), measurable_of_result(), measurable_sizes(options.output.out)});
  if (options.output.out.size() == 1) names.push_back("metrics.bytes_ratio");
  if (!needs_samples(options)) return names;
  return joined({names,
                 {"metrics.cosine", "metrics.snr_db", "metrics.accuracy", "metrics.accuracy_before",
                  "metrics.accuracy_drop", "metrics.loss", "metrics.speedup"}});
}

}  // namespace

int64_t tuning_steps(const QuantizeOptions& options) {
  constexpr int64_t few_bits_steps = 500;
  if (options.rounding == "nearest") return 0;
  if (options.tune_steps >= 0) return options.tune_steps;
  const bool few_bits = needs_samples(options) && options.activations.back() < '8';
  return options.rounding == "adaround" && few_bits ? few_bits_steps : 0;
}

CommandLine add_quantize(CLI::App& app) {
  auto options = std::make_shared<QuantizeOptions>();
  options->data.split = "train";
  options->data.limit = 512;
  add_argument(app, "MODEL", options->model, "an .onnx or .h5 file");
  add_quantization_options(app, *options);
  add_data_options(app, options->data, DataUse::evaluation);
  add_model_output_options(app, options->output);
  add_compute_options(app, options->compute);
  add_report_options(app, options->report);
  CommandLine line = line_of(options, check, models_of, measurable_of, run_quantize);
  line.choose = [options](CommandLine& chosen) {
    resolve(*options);
    if (needs_samples(*options) || measures_weights(*options)) return;
    chosen.run = linked(run_quantize_weights, options);
    chosen.sibling = Sibling::hdf5;
  };
  return line;
}

}  // namespace pare
