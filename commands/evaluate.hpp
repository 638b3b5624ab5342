// pare evaluate MODEL: metrics on data, agreement with a baseline, latency, size.
#pragma once

#include "commands/command.hpp"
#include "commands/options_compute.hpp"
#include "commands/options_data.hpp"
#include "commands/options_output.hpp"

namespace pare {

// Fills `result` with the model's own figures (parameters, nonzero, sparsity, macs, bytes), so that gates on them work.
// Metrics: with --data accuracy, loss (and top5 over more than 5 classes); with --against bytes_ratio, macs_ratio and,
// with
// --data, accuracy_before, accuracy_drop, agreement; with --latency latency_ms_p50, latency_ms_p95 (of the first batch
// size), and speedup with --against.
struct EvaluateOptions {
  std::string model;
  std::string against;  // empty: no baseline
  DataOptions data;
  int64_t batch = 256;
  std::string runtime = "pare";
  std::string save_outputs;  // .npz; empty: none
  bool force = false;        // replaces it
  bool latency = false;
  std::vector<int64_t> batch_sizes = {1};  // of --latency
  ComputeOptions compute;
  ReportOptions report;
};

CommandLine add_evaluate(CLI::App& app);
ExitCode run_evaluate(const EvaluateOptions& options, RunContext& context);

}  // namespace pare
