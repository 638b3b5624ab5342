// pare evaluate MODEL: metrics on data, agreement with a baseline, latency, size.
#pragma once

#include "commands/command.hpp"
#include "commands/options_compute.hpp"
#include "commands/options_data.hpp"
#include "commands/options_output.hpp"

namespace pare {

// Fills `result` with the model's own figures (parameters, nonzero, sparsity, macs, bytes), so that gates on them work.
// Metrics: with --data and class labels accuracy, loss, top5; with values to regress to mse; with --against
// bytes_ratio, macs_ratio and, with --data, accuracy_before, accuracy_drop, agreement, cosine, snr_db (the lowest of
// all outputs; each is in result.outputs); with --latency latency_ms_p50, latency_ms_p95 and with --against speedup (of
// the first batch size; each is in result.latencies); with two runtimes runtime_agreement, runtime_cosine,
// runtime_snr_db.
// --sensitivity fills `layers`: a row a weight and change, with cosine and snr_db of the outputs against those of the
// unchanged model, and accuracy with class labels.
struct EvaluateOptions {
  std::string model;
  std::string against;  // empty: no baseline
  DataOptions data;
  int64_t batch = 256;
  std::string runtime = "auto";  // pare, ort, ort:LIB, both, or auto: ort if found, else pare
  std::string save_outputs;      // .npz; empty: none
  bool force = false;            // replaces it
  bool latency = false;
  std::vector<int64_t> batch_sizes = {1};  // of --latency
  std::string sensitivity;                 // prune or quantize: each weight alone; empty: none
  ComputeOptions compute;
  ReportOptions report;
};

CommandLine add_evaluate(CLI::App& app);
ExitCode run_evaluate(const EvaluateOptions& options, RunContext& context);

}  // namespace pare
