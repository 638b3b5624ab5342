#include <cmath>

#include "commands/model_summary.hpp"
#include "commands/prune.hpp"
#include "commands/training_run.hpp"
#include "compress/pruner.hpp"
#include "compress/selection.hpp"
#include "src/core/table.hpp"

namespace pare {
namespace {

// Steps between two changes of the masks, for schedules that change them gradually.
constexpr int64_t mask_interval = 25;

SparsitySchedule schedule_of(const PruneOptions& options, int64_t steps, double initial) {
  SparsitySchedule schedule;
  schedule.kind = options.schedule;
  schedule.target = options.sparsity;
  schedule.initial = initial;
  schedule.interval = mask_interval;
  const int64_t rising = options.prune_steps > 0 ? options.prune_steps : std::max<int64_t>(1, steps / 2);
  // Averages of gradients need some steps before they mean something.
  schedule.first_step = std::min<int64_t>({mask_interval, steps / 10, rising});
  schedule.last_step = std::min(rising, steps) - 1;
  if (schedule.last_step < schedule.first_step) schedule.first_step = schedule.last_step;
  return schedule;
}

Json lineage_of(const PruneOptions& options) {
  return {{"command", "prune"},
          {"settings",
           {{"sparsity", options.sparsity},
            {"structure", options.structure},
            {"importance", options.importance},
            {"average", options.average},
            {"scope", options.scope},
            {"schedule", options.schedule},
            {"seed", options.compute.seed}}}};
}

// What the options come to, before any work.
struct Plan {
  int64_t weights = 0;
  int64_t zeros = 0;
  int64_t steps = 0;
  int64_t bytes_before = 0;
  int64_t bytes_after = 0;  // of the HDF5 file, without its container: a bit a weight and the values that are kept
  int64_t peak_bytes = 0;
};

Plan plan_of(const PruneOptions& options, const TrainingRun& run, const Pruner& pruner) {
  Plan plan;
  plan.weights = pruner.selected_elements();
  plan.zeros = static_cast<int64_t>(std::ceil(static_cast<double>(plan.weights) * options.sparsity - 1e-9));
  plan.steps = run.steps();
  plan.bytes_before = static_cast<int64_t>(run.student().model.file_bytes);
  plan.bytes_after = plan.bytes_before - 4 * plan.zeros + plan.weights / 8;
  plan.peak_bytes = run.estimated_bytes();
  return plan;
}

std::string plan_text(const PruneOptions& options, const Plan& plan) {
  Table table({"plan", ""});
  table.add({"weights to prune", count_text(plan.weights)});
  table.add({"zero afterwards", count_text(plan.zeros)});
  table.add({"importance", fmt::format("{}, average {}", options.importance, options.average)});
  table.add({"schedule", fmt::format("{}, {} scope", options.schedule, options.scope)});
  table.add({"training steps", count_text(plan.steps)});
  table.add({"size before", bytes_text(plan.bytes_before)});
  table.add({"size after, .onnx", bytes_text(plan.bytes_before)});
  table.add({"size after, .h5", "about " + bytes_text(plan.bytes_after)});
  table.add({"memory for training", "about " + bytes_text(plan.peak_bytes)});
  return table.text();
}

std::string result_text(const RunContext& context) {
  const Json& before = context.report.model;
  const Json& after = context.report.result;
  const Json& metrics = context.report.metrics;
  Table table({"", "before", "after"});
  table.add({"parameters", count_text(before.at("parameters")), count_text(after.at("parameters"))});
  table.add({"nonzero", count_text(before.at("nonzero")), count_text(after.at("nonzero"))});
  for (const Json& file : after.at("files"))
    table.add({file.at("path").get<std::string>(), bytes_text(before.at("bytes")), bytes_text(file.at("bytes"))});
  table.add({"accuracy", percent_text(metrics.at("accuracy_before")), percent_text(metrics.at("accuracy"))});
  return table.text();
}

}  // namespace

ExitCode run_prune(const PruneOptions& options, RunContext& context) {
  const at::Device device = set_up_device(options.compute, context);
  LoadedModel loaded = load_executable(options.model);
  context.report.model = model_json(loaded.model, loaded.graph);
  const auto selected = select_weights(loaded.graph, options.include, options.exclude);
  const std::vector<std::string> masked = loaded.model.masked;
  TrainingRun run(
      {"prune", options.training, options.teacher, options.data, options.compute, options.resume, options.output},
      std::move(loaded), device, context);
  PruneConfig config;
  config.importance = find_importance(options.importance).importance;
  config.average = options.average;
  config.scope = options.scope;
  Pruner pruner(
      run.parameters(), run.optimizer(), config, [&](const std::string& name) { return selected.contains(name); },
      masked);
  const double initial = pruner.sparsity();
  if (options.sparsity < initial)
    fail_usage("--sparsity {}: the selected weights are {:.4f} sparse already; give more", options.sparsity, initial);
  pruner.set_schedule(schedule_of(options, run.steps(), initial));
  if (options.output.dry_run) {
    const Plan plan = plan_of(options, run, pruner);
    context.report.plan = {{"weights", plan.weights},           {"zeros", plan.zeros},
                           {"sparsity", options.sparsity},      {"steps", plan.steps},
                           {"bytes_before", plan.bytes_before}, {"bytes_after", plan.bytes_after},
                           {"peak_bytes", plan.peak_bytes}};
    context.print(plan_text(options, plan));
    return ExitCode::ok;
  }
  const Metrics before = run.measure_before();
  TrainingParts parts;
  parts.hooks.after_backward = [&](const StepInfo& info) { pruner.accumulate(info.found_inf); };
  parts.hooks.after_step = [&](const StepInfo& info) { pruner.after_step(info.step, info.found_inf); };
  parts.state = pruner.state();
  parts.sparsity = [&] { return pruner.sparsity(); };
  parts.complete = [&] { return pruner.sparsity() + 1e-9 >= options.sparsity; };
  parts.weights_replaced = [&] { pruner.apply(); };
  const ExitCode end = run.train(parts);
  if (end == ExitCode::preempted) return end;
  run.write(pruner.masked_names(), lineage_of(options), &before);
  run.finish();
  context.print(result_text(context));
  return pruner.sparsity() + 1e-9 < options.sparsity ? ExitCode::goal_missed : ExitCode::ok;
}

}  // namespace pare
