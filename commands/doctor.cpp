#include "commands/doctor.hpp"

#include <CLI/App.hpp>

#include "commands/option_kinds.hpp"

namespace pare {

// Null in executables that do not link doctor_run.cpp.
[[gnu::weak]] ExitCode run_doctor(const DoctorOptions& options, RunContext& context);

CommandLine add_doctor(CLI::App& app) {
  auto options = std::make_shared<DoctorOptions>();
  add_report_options(app, options->report);

  CommandLine line;
  line.options = options;
  line.report = &options->report;
  line.check = [] {};
  line.models = [] { return std::vector<std::string>{}; };
  line.measurable = [] { return std::vector<std::string>{"cost.duration", "cost.peak_rss"}; };
  line.run = linked(run_doctor, options);
  return line;
}

}  // namespace pare
