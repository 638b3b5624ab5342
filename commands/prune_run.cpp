#include "commands/model_summary.hpp"
#include "commands/prune.hpp"
#include "commands/prune_blocks_run.hpp"
#include "commands/prune_channels_run.hpp"
#include "commands/prune_once_run.hpp"
#include "commands/prune_samples_run.hpp"
#include "commands/prune_setup_run.hpp"
#include "commands/training_run.hpp"
#include "src/core/signals.hpp"
#include "src/train/kept_zeros.hpp"

namespace pare {

ExitCode run_prune(const PruneOptions& options, RunContext& context) {
  leave_on_stop_signals();
  const at::Device device = set_up_device(options.compute, context);
  LoadedModel loaded = load_executable(options.model);
  context.report.model = model_json(loaded.model, loaded.graph);
  if (options.structure == "residual") return prune_blocks(options, std::move(loaded), device, context);
  if (removes_channels(options.structure)) return prune_channels(options, std::move(loaded), device, context);
  const std::set<std::string> weights = prunable_weights(options, loaded.graph, context);
  context.report.settings["scope"] = prune_config(options).scope;
  context.report.settings["schedule"] = options.trains() ? options.resolved_schedule() : "one-shot";
  if (!options.trains()) return prune_once(options, loaded, weights, device, context);
  const std::vector<std::string> masked = loaded.model.masked;
  TrainingRun run({"prune", options}, std::move(loaded), device, context);
  const Graph& graph = run.student().graph;
  const PruneConfig config = prune_config(options);
  Pruner pruner(
      graph, run.parameters(), &run.optimizer(), config,
      [&](const std::string& name) { return weights.contains(name); }, masked);
  check_target(options, pruner);
  if (options.output.dry_run) {
    report_plan(options, run.student().model, pruner, run.steps(), run.estimated_bytes(), run.plan_rows(), context);
    context.report.plan.update(run.plan_json());
    return ExitCode::ok;
  }
  const Metrics before = run.measure_before();
  const double initial = pruner.pruned_share();
  if (config.method.source == ScoreSource::activations) {
    const ScoreSamples samples(options, graph, run.parameters(), device, context);
    if (config.method.name == "sparsegpt") samples.reconstruct(pruner);
    else samples.prepare(config.method, weights, false, pruner);
  }
  const SparsitySchedule schedule = prune_schedule(options, run.steps(), initial);
  if (config.method.name != "sparsegpt") pruner.set_schedule(schedule);
  const double target = config.pattern.kind == Pattern::Kind::n_of_m ? 0 : options.sparsity;
  std::vector<std::string> others = masked;  // what the pruner does not hold
  std::erase_if(others, [&](const std::string& name) { return weights.contains(name); });
  KeptZeros zeros(run.parameters(), run.optimizer(), others);
  TrainingParts parts;
  parts.hooks.after_backward = [&](const StepInfo& info) { pruner.after_backward(info.found_inf); };
  parts.hooks.after_step = [&](const StepInfo& info) {
    pruner.after_step(info.step, info.found_inf);
    zeros.apply();
  };
  parts.state = pruner.state();
  parts.sparsity = [&] { return pruner.sparsity(); };
  parts.complete = [&] { return pruner.pruned_share() + 1e-9 >= target; };
  parts.scored = [&](int64_t step) { return step <= std::max(schedule.first_step, schedule.last_step); };
  parts.weights_replaced = [&] { pruner.apply(); };
  const ExitCode end = run.train(parts);
  if (end == ExitCode::preempted) return end;
  run.write(pruner.names(), prune_lineage(options), &before);
  run.finish();
  return report_pruned(options, graph, run.parameters().export_tensors(), pruner, run.compared_with(), context);
}

}  // namespace pare
