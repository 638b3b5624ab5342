#include "commands/inspect.hpp"

#include <CLI/App.hpp>

#include "commands/option_kinds.hpp"
#include "src/graph/input_shapes.hpp"

namespace pare {

// Null in executables that do not link inspect_run.cpp.
[[gnu::weak]] ExitCode run_inspect(const InspectOptions& options, RunContext& context);

CommandLine add_inspect(CLI::App& app) {
  auto options = std::make_shared<InspectOptions>();
  add_argument(app, "MODEL", options->model, "an .onnx or .h5 file");
  app.option_defaults()->group("Inspection");
  add_texts(app, "--shape", "NAME=DIMS", options->shapes,
            "sizes of an input that the file leaves open (in=1x3x224x224); repeatable");
  add_flag(app, "--groups", options->groups, "channels that can only be removed together, and what keeps channels");
  add_report_options(app, options->report);

  CommandLine line;
  line.options = options;
  line.report = &options->report;
  line.check = [options] {
    check_exists("MODEL", options->model, true);
    parse_input_shapes(options->shapes);
  };
  line.models = [options] { return std::vector{options->model}; };
  line.measurable = [options] {
    return joined({measurable_of_model(), measurable_of_result(), measurable_sizes({options->model})});
  };
  line.run = linked(run_inspect, options);
  return line;
}

}  // namespace pare
