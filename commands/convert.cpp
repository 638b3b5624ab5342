#include "commands/convert.hpp"

#include <CLI/App.hpp>

#include "commands/option_kinds.hpp"

namespace pare {

// Null in executables that do not link convert_run.cpp.
[[gnu::weak]] ExitCode run_convert(const ConvertOptions& options, RunContext& context);

CommandLine add_convert(CLI::App& app) {
  auto options = std::make_shared<ConvertOptions>();
  add_argument(app, "IN", options->in, "an .onnx or .h5 file");
  add_argument(app, "OUT", options->out, "the written file, .onnx or .h5");
  app.option_defaults()->group("Output");
  add_flag(app, "--force", options->force, "replace an existing OUT");
  add_report_options(app, options->report);

  CommandLine line;
  line.options = options;
  line.report = &options->report;
  line.check = [options] {
    check_exists("IN", options->in, true);
    check_model_outputs({{options->out}, options->force, false});
  };
  line.models = [options] { return std::vector{options->in, options->out}; };
  line.measurable = [options] { return joined({measurable_of_model(), measurable_of_result(), measurable_sizes({options->out})}); };
  line.run = linked(run_convert, options);
  return line;
}

}  // namespace pare
