// The front end: arguments in, exit code out.
#pragma once

namespace pare {

// Parses, checks, runs or hands over to a sibling, writes the report. Never throws; an error is one line on stderr.
int run_command_line(int argc, char** argv);

}  // namespace pare
