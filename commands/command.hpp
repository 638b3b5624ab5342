// The command table: every command's name, options and runner. It feeds dispatch, help and "did you mean".
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "commands/options_compute.hpp"
#include "commands/options_output.hpp"
#include "commands/run_context.hpp"
#include "src/core/error.hpp"

namespace CLI {
class App;
}

namespace pare {

// The executable under libexec/pare/ that can run a command where `pare` itself cannot.
enum class Sibling { hdf5, engine };

// One command's options, declared on an App and filled by parsing. The struct's own pointers look into `options`.
struct CommandLine {
  std::shared_ptr<void> options;
  const ReportOptions* report = nullptr;    // always set
  const ComputeOptions* compute = nullptr;  // null for commands that run no model
  // Refuses (exit 2) what single options cannot show: missing files, existing outputs, options that exclude each other.
  std::function<void()> check;
  // The model files whose formats this executable must link.
  std::function<std::vector<std::string>()> models;
  // The report's numbers that this command line will measure, for gates.
  std::function<std::vector<std::string>()> measurable;
  // Empty where this executable does not link the command's run function.
  std::function<ExitCode(RunContext&)> run;
  // The executable that takes over, where it depends on the options; nothing: Command::sibling.
  std::optional<Sibling> sibling;
  // For commands that do some jobs without LibTorch: sets `run` and `sibling` for what the options ask. May be empty.
  std::function<void(CommandLine&)> choose;
};

struct Command {
  const char* name;
  const char* summary;  // one line of `pare --help`
  const char* example;  // the last line of the command's help
  Sibling sibling;
  CommandLine (*add)(CLI::App& app);
};

std::span<const Command> command_table();

// The command of that name; throws (exit 2) with the nearest name.
const Command& find_command(std::string_view name);

// Numbers that the report of every command on a model holds, and those of the sections `result` but for its sizes.
std::vector<std::string> measurable_of_model();
std::vector<std::string> measurable_of_result();

std::vector<std::string> joined(std::initializer_list<std::vector<std::string>> lists);

// Wraps a run function that may not be linked: its address is null then (a weak reference).
template <class Options>
std::function<ExitCode(RunContext&)> linked(ExitCode (*run)(const Options&, RunContext&),
                                            const std::shared_ptr<Options>& options) {
  if (run == nullptr) return {};
  return [run, options](RunContext& context) { return run(*options, context); };
}

// The command line of a command on models, whose functions take the parsed options.
template <class Options>
CommandLine line_of(const std::shared_ptr<Options>& options, void (*check)(const Options&),
                    std::vector<std::string> (*models)(const Options&),
                    std::vector<std::string> (*measurable)(const Options&),
                    ExitCode (*run)(const Options&, RunContext&)) {
  CommandLine line;
  line.options = options;
  line.report = &options->report;
  line.compute = &options->compute;
  line.check = [=] { check(*options); };
  line.models = [=] { return models(*options); };
  line.measurable = [=] { return measurable(*options); };
  line.run = linked(run, options);
  return line;
}

}  // namespace pare
