#include "commands/front.hpp"

#include <csignal>
#include <cstdio>
#include <new>

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "commands/gates.hpp"
#include "commands/help.hpp"
#include "commands/logging.hpp"
#include "commands/parse.hpp"
#include "commands/sibling.hpp"
#include "formats/model_io.hpp"
#include "src/core/table.hpp"

namespace pare {

namespace {

// The error that is being handled, as one line and an exit code.
Error current_error() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return {ExitCode::failure, "out of memory; use a machine with more, or a smaller --batch"};
  } catch (const std::exception& error) {
    // Some libraries append a stack trace.
    const std::string text = error.what();
    return {ExitCode::failure, text.substr(0, text.find('\n'))};
  }
}

void fill(Json& section, const Cost& cost) {
  section["duration"] = cost.duration;
  if (cost.cpu_energy) section["cpu_energy"] = *cost.cpu_energy;
  if (cost.ram_energy) section["ram_energy"] = *cost.ram_energy;
  if (cost.cpu_energy && cost.ram_energy) section["energy_consumed"] = *cost.cpu_energy + *cost.ram_energy;
  if (cost.cpu_energy) section["method"]["cpu_energy"] = "RAPL counters of the processor packages";
  if (cost.ram_energy) section["method"]["ram_energy"] = "RAPL counters of the memory";
  if (cost.peak_rss) section["peak_rss"] = *cost.peak_rss;
}

bool formats_are_linked(const std::vector<std::string>& models) {
  for (const auto& path : models)
    if (format_of(path).load == nullptr) return false;
  return true;
}

void hand_over(const Command& command, const CommandLine& line, char** argv) {
  if (!is_front()) fail_run("{}: this executable cannot run it; run it through `pare`", command.name);
  const std::string device = line.compute != nullptr ? line.compute->device : "cpu";
  const Sibling sibling = line.sibling.value_or(command.sibling);
  spdlog::debug("handing over to {}", sibling == Sibling::hdf5 ? "pare-hdf5" : "an engine");
  exec_sibling(sibling, device, argv);
}

void judge_gates(const std::vector<Gate>& gates, RunContext& context) {
  Report& report = context.report;
  if (gates.empty() || report.settings.value("dry-run", false)) return;
  report.gates = evaluate_gates(gates, report);
  Table table({"gate", "value", "met"});
  bool all_met = true;
  for (const auto& row : report.gates) {
    table.add({row.expr, row.value ? fmt::format("{:.6g}", *row.value) : "not measured", row.met ? "yes" : "NO"});
    all_met = all_met && row.met;
  }
  context.print("\n" + table.text());
  if (!all_met && report.exit_code == ExitCode::ok) report.exit_code = ExitCode::gate_failed;
}

void run_parsed(const Command& command, const ParsedCommand& parsed, RunContext& context, char** argv) {
  const ReportOptions& options = *parsed.line.report;
  context.quiet = options.quiet;
  context.report.settings = parsed.settings;
  check_log(options.log, parsed.line.models());
  set_up_logging(options);
  parsed.line.check();
  check_report_targets(options.reports);
  std::vector<Gate> gates;
  for (const auto& expr : options.gates) gates.push_back(parse_gate(expr));
  check_measurable(gates, parsed.line.measurable());
  if (!parsed.line.run || !formats_are_linked(parsed.line.models())) hand_over(command, parsed.line, argv);
  context.report.exit_code = parsed.line.run(context);
  fill(context.report.cost, context.cost.measure());
  if (context.report.exit_code != ExitCode::preempted) judge_gates(gates, context);
}

void report_error(const Error& error, Report& report) {
  report.exit_code = error.code();
  report.error = single_line(error.what());
  std::fputs(fmt::format("pare: {}\n", report.error).c_str(),
             stderr);  // fmt::print throws where nothing can be written
}

ExitCode run_command(const std::vector<std::string>& arguments, char** argv) {
  RunContext context;
  Report& report = context.report;
  report.argv = arguments;
  std::vector<std::string> targets = report_targets_of(arguments);
  for (const auto& target : targets)
    if (target == "-") context.table_stream = stderr;
  try {
    const Command& command = find_command(arguments[1]);
    report.command = command.name;
    const ParsedCommand parsed = parse_command(command, {arguments.begin() + 2, arguments.end()});
    if (parsed.help) {
      std::fputs(parsed.help_text.c_str(), stdout);
      return ExitCode::ok;
    }
    run_parsed(command, parsed, context, argv);
  } catch (...) {
    report_error(current_error(), report);
    if (report.cost.empty()) fill(report.cost, context.cost.measure());
  }
  try {
    // A target that was refused is not written to.
    check_report_targets(targets);
    write_report(report, targets);
  } catch (...) {
    if (report.error.empty()) report_error(current_error(), report);
  }
  return report.exit_code;
}

// A file opened later must not get the number of a standard stream: prints would end up in it.
void occupy_standard_streams() {
  for (int stream = 0; stream <= 2; ++stream)
    if (::fcntl(stream, F_GETFD) < 0 && ::open("/dev/null", stream == 0 ? O_WRONLY : O_RDONLY) != stream) return;
}

ExitCode dispatch(const std::vector<std::string>& arguments, char** argv) {
  const std::string first = arguments.size() > 1 ? arguments[1] : "";
  if (first.empty()) {
    std::fputs(overview_help().c_str(), stderr);
    return ExitCode::usage;
  }
  if (first == "--version") {
    std::fputs("pare " PARE_VERSION "\n", stdout);
    return ExitCode::ok;
  }
  if (first == "--help" || first == "-h" || (first == "help" && arguments.size() == 2)) {
    std::fputs(overview_help().c_str(), stdout);
    return ExitCode::ok;
  }
  if (first == "help") return run_command({arguments[0], arguments[2], "--help"}, argv);
  return run_command(arguments, argv);
}

}  // namespace

int run_command_line(int argc, char** argv) {
  // A reader that goes away shows as a failed write.
  std::signal(SIGPIPE, SIG_IGN);
  occupy_standard_streams();
  ExitCode code = dispatch({argv, argv + argc}, argv);
  const bool printed = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  if (!printed) std::fputs("pare: standard output: cannot be written\n", stderr);
  if (code == ExitCode::ok && (!printed || !log_is_written())) code = ExitCode::failure;
  return static_cast<int>(code);
}

}  // namespace pare
