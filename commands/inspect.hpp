// pare inspect MODEL: what a model is made of, and whether pare can train it.
#pragma once

#include "commands/command.hpp"
#include "commands/options_output.hpp"

namespace pare {

struct InspectOptions {
  std::string model;
  std::vector<std::string> shapes;  // NAME=1x3x224x224
  bool groups = false;
  ReportOptions report;
};

CommandLine add_inspect(CLI::App& app);
ExitCode run_inspect(const InspectOptions& options, RunContext& context);

}  // namespace pare
