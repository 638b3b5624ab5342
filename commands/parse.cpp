#include "commands/parse.hpp"

#include <algorithm>
#include <cctype>

#include <CLI/CLI.hpp>

#include "commands/help.hpp"
#include "commands/option_kinds.hpp"
#include "src/core/suggest.hpp"

namespace pare {

namespace {

bool is_option(const std::string& argument) {
  if (argument.size() < 2 || argument[0] != '-') return false;
  // A negative number is a value.
  return std::isdigit(static_cast<unsigned char>(argument[1])) == 0 && argument[1] != '.';
}

// The option's name as it was given: "--lr" of "--lr=1e-3", "-o" of "-osmall.onnx".
std::string name_of(const std::string& argument) {
  return argument.starts_with("--") ? argument.substr(0, argument.find('=')) : argument.substr(0, 2);
}

std::vector<std::string> long_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const auto* option : app.get_options())
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  names.emplace_back("--help");
  return names;
}

// The parser would take the value of an unknown option for an argument, and complain about that. True when help is
// asked for.
bool check_option_names(const CLI::App& app, const Command& command, const std::vector<std::string>& arguments) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const auto& argument = arguments[i];
    if (argument == "--") break;
    if (!is_option(argument)) continue;
    if (argument == "--help" || argument == "-h") return true;
    const std::string name = name_of(argument);
    const auto* option = app.get_option_no_throw(name);
    if (option == nullptr)
      fail_usage("unknown option '{}'{}", name,
                 did_you_mean(name, long_names(app), fmt::format("; see pare {} --help", command.name)));
    if (option->get_expected_max() > 0 && argument == name) ++i;
  }
  return false;
}

std::string setting_name(const CLI::Option& option) {
  if (!option.get_lnames().empty()) return option.get_lnames().front();
  std::string name = option.get_name();
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  return name;
}

Json settings_of(const CLI::App& app) {
  Json settings = Json::object();
  for (const auto* option : app.get_options()) {
    Json value = option_value(*option);
    if (!value.is_null()) settings[setting_name(*option)] = std::move(value);
  }
  return settings;
}

void parse(CLI::App& app, const Command& command, std::vector<std::string> arguments) {
  // CLI11 takes them last first.
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ValidationError& error) {
    fail_usage("{}", error.what());
  } catch (const CLI::ExtrasError&) {
    fail_usage("unexpected argument '{}'; see pare {} --help", app.remaining().front(), command.name);
  } catch (const CLI::RequiredError& error) {
    fail_usage("{}; see pare {} --help", error.what(), command.name);
  } catch (const CLI::ArgumentMismatch& error) {
    // The parser's own words name types that help does not use; they begin with the option.
    const std::string text = error.what();
    const auto* option = app.get_option_no_throw(text.substr(0, text.find(':')));
    if (option != nullptr && option->count() > 1)
      fail_usage("{} is given more than once; give one value", option->get_name());
    fail_usage("{}; see pare {} --help", option != nullptr ? option->get_name() + " needs a value" : text,
               command.name);
  } catch (const CLI::ParseError& error) {
    fail_usage("{}; see pare {} --help", error.what(), command.name);
  }
}

}  // namespace

ParsedCommand parse_command(const Command& command, const std::vector<std::string>& arguments) {
  ParsedCommand parsed;
  CLI::App app(command.summary, command.name);
  app.set_help_flag("");
  parsed.line = command.add(app);
  if (check_option_names(app, command, arguments)) {
    parsed.help = true;
    parsed.help_text = command_help(app, command);
    return parsed;
  }
  parse(app, command, arguments);
  parsed.settings = settings_of(app);
  if (parsed.line.choose) parsed.line.choose(parsed.line);
  return parsed;
}

std::vector<std::string> report_targets_of(const std::vector<std::string>& arguments) {
  constexpr std::string_view option = "--report";
  std::vector<std::string> targets;
  for (size_t i = 0; i < arguments.size() && arguments[i] != "--"; ++i) {
    if (arguments[i] == option && i + 1 < arguments.size()) targets.push_back(arguments[++i]);
    else if (arguments[i].starts_with("--report=")) targets.push_back(arguments[i].substr(option.size() + 1));
  }
  return targets;
}

}  // namespace pare
