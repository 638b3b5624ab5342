#include <CLI/CLI.hpp>

#include <doctest/doctest.h>

#include "commands/help.hpp"
#include "commands/parse.hpp"

namespace pare {

namespace {

std::vector<std::string> lines_of(const std::string& text) { return CLI::detail::split(text, '\n'); }

}  // namespace

TEST_CASE("help: every command fits 80 columns and two screens of 50 lines") {
  for (const auto& command : command_table()) {
    CAPTURE(command.name);
    const std::string text = parse_command(command, {"--help"}).help_text;
    CHECK(lines_of(text).size() <= 100);
    for (const auto& line : lines_of(text)) {
      CAPTURE(line);
      CHECK(line.size() <= 80);
      CHECK_FALSE(line.ends_with(' '));
    }
  }
}

TEST_CASE("help: every option has a help text, a group and a long name") {
  for (const auto& command : command_table()) {
    CLI::App app;
    app.set_help_flag("");
    const CommandLine line = command.add(app);
    for (const auto* option : app.get_options()) {
      CAPTURE(command.name);
      CAPTURE(option->get_name());
      CHECK(option->get_description().size() >= 10);
      if (!option->nonpositional()) continue;
      CHECK(option->get_lnames().size() == 1);
      CHECK(option->get_group() != "Options");
    }
  }
}

TEST_CASE("help: the overview lists every command") {
  const std::string text = overview_help();
  for (const auto& command : command_table())
    CHECK(text.find(fmt::format("\n  {:<10} {}\n", command.name, command.summary)) != std::string::npos);
  for (const auto& line : lines_of(text)) CHECK(line.size() <= 80);
}

TEST_CASE("help: required options are in the usage line, and every option is listed") {
  const std::string text = parse_command(find_command("prune"), {"--help"}).help_text;
  CHECK(text.find("Usage: pare prune MODEL --out FILE [options]\n") != std::string::npos);
  const std::string distill = parse_command(find_command("distill"), {"--help"}).help_text;
  CHECK(distill.find("\nUsage: pare distill STUDENT --teacher FILE|none --data PATH --out FILE [options]\n") !=
        std::string::npos);
  for (const char* option :
       {"--sparsity X", "-o, --out FILE", "--dry-run", "--kd-weight X", "--no-resume", "-q, --quiet"})
    CHECK(text.find(fmt::format("\n  {} ", option)) != std::string::npos);
}

}  // namespace pare
