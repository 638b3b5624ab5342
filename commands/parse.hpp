// From arguments to a checked command line.
#pragma once

#include <string>
#include <vector>

#include "commands/command.hpp"

namespace pare {

struct ParsedCommand {
  CommandLine line;
  Json settings;  // option -> effective value
  bool help = false;
  std::string help_text;  // only with `help`
};

// `arguments` are those after the command's name. Throws (exit 2), with the nearest name, for unknown options and bad
// values.
ParsedCommand parse_command(const Command& command, const std::vector<std::string>& arguments);

// The values of --report, read without a parser: known even where the rest of the command line is wrong.
std::vector<std::string> report_targets_of(const std::vector<std::string>& arguments);

}  // namespace pare
