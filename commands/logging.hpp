// The log: warnings on stderr, details there too with --verbose, everything in the file of --log.
#pragma once

#include "commands/options_output.hpp"

namespace pare {

// Sets up the default logger of spdlog. Throws (exit 1) when the log file cannot be opened.
void set_up_logging(const ReportOptions& options);

}  // namespace pare
