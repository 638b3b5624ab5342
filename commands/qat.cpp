#include "commands/qat.hpp"

#include <CLI/App.hpp>

#include <fnmatch.h>

#include "commands/option_kinds.hpp"

namespace pare {

// Null in executables that do not link qat_run.cpp.
[[gnu::weak]] ExitCode run_qat(const QatOptions& options, RunContext& context);

namespace {

// "conv*=4"
std::string check_bits(const std::string& text) {
  const size_t equals = text.rfind('=');
  const std::string bits = equals == std::string::npos ? "" : text.substr(equals + 1);
  if (equals == 0 || bits.size() != 1 || bits[0] < '2' || bits[0] > '8')
    return fmt::format("bad value (got '{}', expected GLOB=B with B from 2 to 8)", text);
  return "";
}

std::string check_opset(const std::string& text) {
  return text == "0" || text == "21" ? "" : fmt::format("bad value (got '{}', expected 21 or 0)", text);
}

void check(const QatOptions& options) {
  check_exists("MODEL", options.model, true);
  check_data_options(options.data);
  check_training(options.training, options.data);
  check_teacher(options.teacher, {"original", "self", "none"});
  check_model_outputs(options.output);
  if (options.outer_bits == 1) fail_usage("--outer-bits: bad value (got 1, expected 0 or 2 to 8)");
  if (options.training.ema > 0)
    fail_usage("--ema: averaged weights do not lie on the grid that was trained; leave it out for qat");
}

std::vector<std::string> models_of(const QatOptions& options) { return models_with(options.model, options.output); }

void add_quantization_options(CLI::App& app, QatOptions& options) {
  app.option_defaults()->group("Quantization");
  add_choice(app, "--weights", {"int8", "int4", "int3", "int2"}, options.weights,
             "type of the weights, per channel; a quantized file keeps its own unless another is given")
      ->each([&](const std::string&) { options.weights_given = true; });
  add_choice(app, "--activations", {"uint8", "int8", "int4", "int3", "int2", "none"}, options.activations,
             "type of what layers read; none: weights alone; a quantized file keeps its own")
      ->each([&](const std::string&) { options.activations_given = true; });
  add_choice(app, "--quantizer", {"lsq", "minmax", "pact"}, options.quantizer,
             "scales learned (Esser 2020), following the range, or learned from clipped activations");
  add_integer(app, "--outer-bits", {0, 8}, options.outer_bits,
              "bits of the first and last layer's weights and inputs; 0: as the others");
  add_texts(app, "--bits", "GLOB=B", options.bits, "bits of the weights of that tensor or node name; repeatable")
      ->check(check_bits, "");
  add_text(app, "--calibration", "METHOD", options.calibration,
           "first ranges of activations: minmax, percentile:P, entropy or mse");
  add_integer(app, "--calibration-samples", at_least_one, options.calibration_samples, "samples for these ranges");
  add_integer(app, "--freeze-batch-norm", at_least_zero, options.freeze_batch_norm,
              "freeze BatchNormalization statistics after that many steps; 0: as --batch-norm says");
  add_integer(app, "--opset", {0, 21}, options.opset, "21: weights of up to 4 bits become INT4; 0: int8 for all")
      ->check(check_opset, "");
  add_texts(app, "--include", "GLOB", options.include, "quantize only tensors or nodes of this name; repeatable");
  add_texts(app, "--exclude", "GLOB", options.exclude, "leave tensors or nodes of this name float; repeatable");
}

std::vector<std::string> measurable_of(const QatOptions& options) {
  return joined({measurable_of_training(options),
                 {"metrics.accuracy_before", "metrics.accuracy_drop", "result.export_agreement"}});
}

}  // namespace

CommandLine add_qat(CLI::App& app) {
  auto options = std::make_shared<QatOptions>();
  options->data.split = "train";
  options->training.weight_decay = 0;
  add_argument(app, "MODEL", options->model, "an .onnx or .h5 file, float or written by qat");
  add_quantization_options(app, *options);
  add_retraining_options(app, *options);
  add_run_options(app, *options);
  return line_of(options, check, models_of, measurable_of, run_qat);
}

int64_t bits_of(const std::vector<std::string>& rules, const std::string& weight, const std::string& node,
                int64_t otherwise) {
  for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule) {
    const std::string glob = rule->substr(0, rule->rfind('='));
    if (::fnmatch(glob.c_str(), weight.c_str(), 0) == 0 || ::fnmatch(glob.c_str(), node.c_str(), 0) == 0)
      return rule->back() - '0';
  }
  return otherwise;
}

}  // namespace pare
