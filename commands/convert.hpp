// pare convert IN OUT: ONNX <-> HDF5 without loss.
#pragma once

#include "commands/command.hpp"
#include "commands/options_output.hpp"

namespace pare {

struct ConvertOptions {
  std::string in;
  std::string out;  // empty only with `check`
  bool force = false;
  bool check = false;  // compare OUT with IN; without OUT, IN with the hashes that it stores
  bool entropy_code = false;
  ReportOptions report;
};

CommandLine add_convert(CLI::App& app);
ExitCode run_convert(const ConvertOptions& options, RunContext& context);

}  // namespace pare
