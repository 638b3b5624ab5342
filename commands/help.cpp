#include "commands/help.hpp"

#include <CLI/App.hpp>

#include <fmt/format.h>

namespace pare {

namespace {

constexpr size_t help_width = 80;
constexpr size_t help_column = 28;

// `left`, then `text` broken at spaces and indented; a long `left` pushes only the beginning of the text to the right.
std::string entry(std::string left, const std::string& text) {
  std::string out;
  std::string line = "  " + std::move(left);
  line.append(line.size() + 2 <= help_column ? help_column - line.size() : 2, ' ');
  bool fresh = true;
  for (const auto& word : CLI::detail::split(text, ' ')) {
    if (!fresh && line.size() + 1 + word.size() > help_width) {
      out += line + '\n';
      line.assign(help_column, ' ');
      fresh = true;
    }
    // Nothing of the text has fitted behind a very long name.
    if (fresh && line.size() + word.size() > help_width) {
      line.erase(line.find_last_not_of(' ') + 1);
      out += line + '\n';
      line.assign(help_column, ' ');
    }
    if (!fresh) line += ' ';
    line += word;
    fresh = false;
  }
  return out + line + '\n';
}

std::string names_of(const CLI::Option& option) {
  std::string names;
  for (const auto& name : option.get_snames()) names += "-" + name + ", ";
  for (const auto& name : option.get_lnames()) names += "--" + name + ", ";
  if (names.empty()) names = option.get_name() + ", ";
  names.resize(names.size() - 2);
  const std::string kind = option.get_type_name();
  return option.get_expected_max() == 0 || kind.empty() ? names : names + " " + kind;
}

std::string text_of(const CLI::Option& option) {
  std::string text = option.get_description();
  if (option.get_required() && option.nonpositional()) text += " (required)";
  if (!option.get_default_str().empty()) text += " [" + option.get_default_str() + "]";
  return text;
}

std::string usage_of(const CLI::App& app, const Command& command) {
  std::string usage = fmt::format("Usage: pare {}", command.name);
  for (const auto* option : app.get_options()) {
    if (!option->nonpositional())
      usage += option->get_required() ? " " + option->get_name() : " [" + option->get_name() + "]";
    else if (option->get_required()) usage += " " + option->get_name() + " " + option->get_type_name();
  }
  return usage + " [options]\n";
}

}  // namespace

std::string overview_help() {
  std::string text = "pare " PARE_VERSION
                     ": compresses neural networks that exist as ONNX files\n\n"
                     "Usage: pare COMMAND [options]\n\nCommands:\n";
  for (const auto& command : command_table()) text += fmt::format("  {:<10} {}\n", command.name, command.summary);
  return text +
         "\n"
         "pare COMMAND --help, or pare help COMMAND, shows a command's options.\n"
         "pare --version shows the version.\n"
         "\n"
         "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 unusable model or data,\n"
         "4 a gate was not met, 5 the goal was missed, 75 stopped with a checkpoint.\n";
}

std::string command_help(const CLI::App& app, const Command& command) {
  std::string text = fmt::format("pare {}: {}\n{}", command.name, command.summary, usage_of(app, command));
  std::string group;
  for (const auto* option : app.get_options()) {
    if (option->nonpositional() && option->get_group() != group) {
      text += group.empty() ? fmt::format("\n{:<28}[defaults are in brackets]\n", option->get_group() + ":")
                            : fmt::format("\n{}:\n", option->get_group());
      group = option->get_group();
    }
    text += entry(names_of(*option), text_of(*option));
  }
  return text + fmt::format("Example: {}\n", command.example);
}

}  // namespace pare
