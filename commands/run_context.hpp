// What a running command shares with the front end: the report it fills, where its table goes, what it costs.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "commands/report.hpp"
#include "src/core/cost.hpp"

namespace pare {

// run_x() fills `report` (model, result, metrics, layers, history, device, plan) and returns ok, goal_missed or
// preempted; failures are thrown. The front end adds gates, cost, verdict and settings, writes the report and makes the
// exit code.
struct RunContext {
  Report report;
  bool quiet = false;                // no table, no progress; warnings and errors stay
  std::FILE* table_stream = stdout;  // stderr when the JSON report has stdout
  CostMeter cost;

  // Writes the command's result for people; nothing with --quiet. An unwritable stream shows in the exit code (1).
  void print(std::string_view text) const;
  // Adds to the report's warnings, and writes `pare: warning: ...` on stderr; once for the same words.
  void warn(std::string message);
};

}  // namespace pare
