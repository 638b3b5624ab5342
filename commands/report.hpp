// The report: one document a command, the same keys for all of them. Scripts depend on the keys.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "src/core/error.hpp"
#include "src/core/json.hpp"

namespace pare {

struct GateRow {
  std::string expr;
  std::optional<double> value;  // nothing when it was not measured
  bool met = false;
};

// Sections hold only what was measured; empty ones are left out of the document. Numbers are JSON numbers: times in
// seconds, sizes in bytes, energy in kWh.
struct Report {
  std::string command;
  std::vector<std::string> argv;
  ExitCode exit_code = ExitCode::ok;
  std::string error;              // the error line without `pare: `; empty when there was none
  Json model = Json::object();    // path, sha256, inputs, outputs, parameters, nonzero, macs, bytes
  Json result = Json::object();   // parameters, nonzero, sparsity, macs, bytes, files
  Json metrics = Json::object();  // accuracy, accuracy_before, accuracy_drop, loss, agreement, latency_ms_p50...
  Json layers = Json::array();    // name, op, shape, sparsity, macs_before...
  std::vector<GateRow> gates;
  std::vector<std::string> warnings;
  Json settings = Json::object();  // every option with the value that took effect
  Json device = Json::object();
  Json history = Json::array();  // step, epoch, loss, lr, sparsity, accuracy
  Json cost = Json::object();
  Json plan = Json::object();   // of --dry-run
  Json checks = Json::array();  // of doctor

  // The document in the order of the contract. NaN and infinities become null, each with a warning that names its key.
  Json document() const;
};

// "ok", "gate-failed", "goal-missed", "preempted" or "error".
const char* verdict_of(ExitCode code);

// Writes the document to each target: `-` is JSON on stdout, anything else is a file of JSON or (.html) a page that is
// replaced atomically. Throws (exit 1).
void write_report(const Report& report, const std::vector<std::string>& targets);

// Refuses (exit 2) targets that are neither `-` nor `.json` or `.html`, or whose folder cannot be written.
void check_report_targets(const std::vector<std::string>& targets);

}  // namespace pare
