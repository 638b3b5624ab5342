#include "commands/quantize.hpp"

#include <CLI/App.hpp>

#include "commands/option_kinds.hpp"
#include "compress/weight_encoding.hpp"

namespace pare {

// Null in executables that do not link quantize_weights_run.cpp.
[[gnu::weak]] ExitCode run_quantize_weights(const QuantizeOptions& options, RunContext& context);

namespace {

void check(const QuantizeOptions& options) {
  check_exists("MODEL", options.model, true);
  if (!options.granularity.empty()) Granularity::parse(options.granularity);
  check_model_outputs(options.output);
}

std::vector<std::string> models_of(const QuantizeOptions& options) {
  std::vector<std::string> models = options.output.out;
  models.push_back(options.model);
  return models;
}

void add_quantization_options(CLI::App& app, QuantizeOptions& options) {
  app.option_defaults()->group("Quantization");
  add_choice(app, "--weights", {"int8", "int4", "int3", "int2"}, options.weights,
             "type of the weights; int3 and int2 are written as int4 codes");
  add_choice(app, "--activations", {"none"}, options.activations, "none: weights alone, without data");
  add_text(app, "--granularity", "tensor|channel|block:N", options.granularity,
           "weights that share a scale; blocks are along K of matrix products [block:32]");
  add_choice(app, "--calibration", {"minmax", "mse"}, options.calibration,
             "scales from the largest magnitude, or with the least squared error");
  add_texts(app, "--include", "GLOB", options.include, "quantize only tensors or nodes of this name; repeatable");
  add_texts(app, "--exclude", "GLOB", options.exclude, "leave tensors or nodes of this name float; repeatable");
}

}  // namespace

CommandLine add_quantize(CLI::App& app) {
  auto options = std::make_shared<QuantizeOptions>();
  add_argument(app, "MODEL", options->model, "an .onnx or .h5 file");
  add_quantization_options(app, *options);
  add_model_output_options(app, options->output);
  add_compute_options(app, options->compute);
  add_report_options(app, options->report);

  CommandLine line;
  line.options = options;
  line.report = &options->report;
  line.compute = &options->compute;
  line.check = [options] { check(*options); };
  line.models = [options] { return models_of(*options); };
  line.measurable = [options] {
    auto names = joined({measurable_of_model(), measurable_of_result(), measurable_sizes(options->output.out)});
    if (options->output.out.size() == 1) names.push_back("metrics.bytes_ratio");
    return names;
  };
  line.choose = [options](CommandLine& chosen) {
    chosen.run = linked(run_quantize_weights, options);
    chosen.sibling = Sibling::hdf5;
  };
  return line;
}

}  // namespace pare
