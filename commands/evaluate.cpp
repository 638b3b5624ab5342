#include "commands/evaluate.hpp"

#include <CLI/App.hpp>

#include "commands/option_kinds.hpp"
#include "src/core/files.hpp"

namespace pare {

// Null in executables that do not link evaluate_run.cpp.
[[gnu::weak]] ExitCode run_evaluate(const EvaluateOptions& options, RunContext& context);

namespace {

std::vector<std::string> measurable_of(const EvaluateOptions& options) {
  auto names = joined({measurable_of_model(), measurable_of_result(), measurable_sizes({options.model})});
  const bool data = !options.data.data.empty();
  const bool against = !options.against.empty();
  const auto add = [&](std::initializer_list<const char*> more) {
    names.insert(names.end(), more.begin(), more.end());
  };
  // With what the data turns out to have: run_evaluate() refuses the rest before any work.
  if (data)
    add({"metrics.accuracy", "metrics.top5", "metrics.loss", "metrics.mse", "metrics.agreement", "metrics.cosine",
         "metrics.snr_db"});
  if (against) add({"metrics.bytes_ratio", "metrics.macs_ratio"});
  if (data && against) add({"metrics.accuracy_before", "metrics.accuracy_drop"});
  if (data && options.runtime == "both")
    add({"metrics.runtime_agreement", "metrics.runtime_cosine", "metrics.runtime_snr_db"});
  if (options.latency) add({"metrics.latency_ms_p50", "metrics.latency_ms_p95"});
  if (options.latency && against) add({"metrics.speedup"});
  return names;
}

void check(const EvaluateOptions& options) {
  check_exists("MODEL", options.model, true);
  if (!options.against.empty()) check_exists("--against", options.against, true);
  check_data_options(options.data);
  const std::string& runtime = options.runtime;
  if (runtime != "auto" && runtime != "pare" && runtime != "ort" && runtime != "both" &&
      (!runtime.starts_with("ort:") || runtime.size() == 4))
    fail_usage("--runtime: unknown value (got '{}', expected one of auto, pare, ort, ort:LIB, both)", runtime);
  if (!options.sensitivity.empty() && options.data.data.empty())
    fail_usage("--sensitivity: needs samples; give --data");
  if (options.save_outputs.empty()) return;
  if (options.data.data.empty()) fail_usage("--save-outputs: needs samples; give --data");
  if (!options.save_outputs.ends_with(".npz")) fail_usage("--save-outputs: {} is no .npz", options.save_outputs);
  check_output(options.save_outputs, options.force);
}

std::vector<std::string> models_of(const EvaluateOptions& options) {
  return options.against.empty() ? std::vector{options.model} : std::vector{options.model, options.against};
}

}  // namespace

CommandLine add_evaluate(CLI::App& app) {
  auto options = std::make_shared<EvaluateOptions>();
  options->data.split = "test";
  add_argument(app, "MODEL", options->model, "an .onnx or .h5 file");
  app.option_defaults()->group("Evaluation");
  add_text(app, "--against", "BASE", options->against, "also compare with this model");
  add_integer(app, "--batch", {1, 1 << 24}, options->batch, "samples at once for the metrics");
  add_text(app, "--runtime", "pare|ort|ort:LIB|both", options->runtime,
           "what runs the model; auto: ort, ONNX Runtime, if it is found");
  add_text(app, "--save-outputs", "FILE.npz", options->save_outputs, "write every output over the data, by name");
  add_flag(app, "--force", options->force, "replace an existing FILE.npz");
  add_flag(app, "--latency", options->latency, "time the model");
  add_integers(app, "--batch-sizes", {1, 1 << 24}, options->batch_sizes, "batch sizes to time; gates see the first");
  add_choice(app, "--sensitivity", {"prune", "quantize"}, options->sensitivity,
             "change of the outputs when one weight alone is pruned by half, or made int8, int4");
  add_data_options(app, options->data, DataUse::evaluation);
  add_compute_options(app, options->compute);
  add_report_options(app, options->report);
  return line_of(options, check, models_of, measurable_of, run_evaluate);
}

}  // namespace pare
