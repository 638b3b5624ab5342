#include "commands/convert.hpp"

#include <CLI/App.hpp>

#include "commands/option_kinds.hpp"

namespace pare {

// Null in executables that do not link convert_run.cpp.
[[gnu::weak]] ExitCode run_convert(const ConvertOptions& options, RunContext& context);

namespace {

std::vector<std::string> outputs_of(const ConvertOptions& options) {
  return options.out.empty() ? std::vector<std::string>{} : std::vector{options.out};
}

}  // namespace

CommandLine add_convert(CLI::App& app) {
  auto options = std::make_shared<ConvertOptions>();
  add_argument(app, "IN", options->in, "an .onnx or .h5 file");
  add_argument(app, "OUT", options->out, "the written file, .onnx or .h5; only --check does without")->required(false);
  app.option_defaults()->group("Output");
  add_flag(app, "--force", options->force, "replace an existing OUT");
  add_entropy_option(app, options->entropy_code);
  add_flag(app, "--check", options->check,
           "read OUT again and compare it with IN; without OUT, IN with its stored hashes");
  add_report_options(app, options->report);

  CommandLine line;
  line.options = options;
  line.report = &options->report;
  line.check = [options] {
    check_exists("IN", options->in, true);
    if (options->out.empty() && !options->check) fail_usage("OUT is required; see pare convert --help");
    check_model_outputs({outputs_of(*options), options->force, false, options->entropy_code});
  };
  line.models = [options] { return joined({{options->in}, outputs_of(*options)}); };
  line.measurable = [options] {
    return joined({measurable_of_model(), measurable_of_result(), measurable_sizes(outputs_of(*options))});
  };
  line.run = linked(run_convert, options);
  return line;
}

}  // namespace pare
