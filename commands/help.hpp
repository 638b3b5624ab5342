// Help texts: 80 columns, options in groups, defaults shown.
#pragma once

#include <string>

#include "commands/command.hpp"

namespace pare {

// `pare --help`: the commands.
std::string overview_help();

// `pare COMMAND --help`.
std::string command_help(const CLI::App& app, const Command& command);

}  // namespace pare
