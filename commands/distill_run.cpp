#include "commands/distill.hpp"
#include "commands/model_summary.hpp"
#include "commands/training_run.hpp"
#include "src/core/signals.hpp"
#include "src/core/table.hpp"
#include "src/train/initialize.hpp"
#include "src/train/kept_zeros.hpp"

namespace pare {
namespace {

Json lineage_of(const DistillOptions& options) {
  return {{"command", "distill"},
          {"settings",
           {{"init", options.init},
            {"lr", options.training.lr},
            {"optimizer", options.training.optimizer},
            {"batch", options.training.batch},
            {"seed", options.compute.seed}}}};
}

std::string plan_text(const DistillOptions& options, const TrainingRun& run, int64_t parameters) {
  Table table({"plan", ""});
  table.add({"parameters to train", count_text(parameters)});
  table.add({"initial weights", options.init});
  for (const auto& [what, value] : run.plan_rows()) table.add({what, value});
  table.add({"training steps", count_text(run.steps())});
  table.add({"memory for training", "about " + bytes_text(run.estimated_bytes())});
  return table.text();
}

}  // namespace

ExitCode run_distill(const DistillOptions& options, RunContext& context) {
  leave_on_stop_signals();
  const at::Device device = set_up_device(options.compute, context);
  LoadedModel loaded = load_executable(options.student);
  context.report.model = model_json(loaded.model, loaded.graph);
  const int64_t parameters = context.report.model.at("parameters");
  TrainingRun run({"distill", options}, std::move(loaded), device, context);
  if (options.output.dry_run) {
    context.report.plan = {{"parameters", parameters}, {"steps", run.steps()}, {"peak_bytes", run.estimated_bytes()}};
    context.report.plan.update(run.plan_json());
    context.print(plan_text(options, run, parameters));
    return ExitCode::ok;
  }
  KeptZeros zeros(run.parameters(), run.optimizer(), run.student().model.masked);
  std::optional<Metrics> before;
  if (options.init == "kaiming") {
    initialize_kaiming(run.student().graph, run.parameters(), static_cast<uint64_t>(options.compute.seed));
    zeros.apply();
  } else {
    before = run.measure_before();
  }
  TrainingParts parts;
  parts.hooks.after_step = [&](const StepInfo&) { zeros.apply(); };
  const ExitCode end = run.train(parts);
  if (end == ExitCode::preempted) return end;
  run.write({}, lineage_of(options), before ? &*before : nullptr);
  run.finish();
  const Json& metrics = context.report.metrics;
  const bool labelled = metrics.contains("accuracy");
  Table table({"written", "size", labelled ? "accuracy" : run.compared_with()});
  for (const Json& file : context.report.result.at("files"))
    table.add({file.at("path").get<std::string>(), bytes_text(file.at("bytes")),
               labelled                     ? percent_text(metrics.at("accuracy"))
               : metrics.contains("cosine") ? fmt::format("{:.5f}", metrics.at("cosine").get<double>())
                                            : ""});
  context.print(table.text());
  return ExitCode::ok;
}

}  // namespace pare
