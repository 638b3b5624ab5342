// pare doctor: what this build and this machine can do.
#pragma once

#include "commands/command.hpp"
#include "commands/options_output.hpp"

namespace pare {

struct DoctorOptions {
  ReportOptions report;
};

CommandLine add_doctor(CLI::App& app);
ExitCode run_doctor(const DoctorOptions& options, RunContext& context);

}  // namespace pare
