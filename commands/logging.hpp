// The log: warnings on stderr, details there too with --verbose, everything in the file of --log.
#pragma once

#include "commands/options_output.hpp"

namespace pare {

// Throws (exit 2) when the log is one of the command's models, or in no folder.
void check_log(const std::string& log, const std::vector<std::string>& models);

// Sets up the default logger of spdlog. Throws (exit 1) when the log file cannot be opened.
void set_up_logging(const ReportOptions& options);

// False once the log file could not be written, which was said on stderr.
bool log_is_written();

}  // namespace pare
