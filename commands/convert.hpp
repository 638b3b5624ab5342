// pare convert IN OUT: ONNX <-> HDF5 without loss.
#pragma once

#include "commands/command.hpp"
#include "commands/options_output.hpp"

namespace pare {

struct ConvertOptions {
  std::string in;
  std::string out;
  bool force = false;
  ReportOptions report;
};

CommandLine add_convert(CLI::App& app);
ExitCode run_convert(const ConvertOptions& options, RunContext& context);

}  // namespace pare
