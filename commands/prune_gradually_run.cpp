#include "commands/prune_gradually_run.hpp"

#include "commands/channel_summary.hpp"
#include "commands/prune_setup_run.hpp"
#include "commands/shrunk_result_run.hpp"
#include "commands/training_run.hpp"
#include "compress/structure_pruner.hpp"
#include "formats/onnx_writer.hpp"
#include "src/graph/cost.hpp"
#include "src/train/kept_zeros.hpp"

namespace pare {
namespace {

StructureConfig structure_config(const PruneOptions& options) {
  StructureConfig config;
  config.importance = options.importance;
  config.average = options.average;
  config.group_score = group_score_of(options.channels.group_score);
  config.limits = channel_limits(options);
  config.penalty = options.channels.group_penalty;
  config.seed = static_cast<uint64_t>(options.compute.seed);
  return config;
}

// The graph with the weights that training left.
Graph with_trained(const Graph& graph, const std::map<std::string, Tensor>& tensors) {
  Graph trained = graph;
  for (Value& value : trained.values)
    if (const auto found = tensors.find(value.name); value.constant && found != tensors.end())
      value.constant = found->second;
  return trained;
}

// At which step units go, and what share of the cost is left then.
Json rounds_json(const PruneOptions& options, const GradualPruning& pruning, int64_t steps) {
  const SparsitySchedule schedule = rising_schedule(options, steps, 0, 1 - pruning.keep);
  Json rounds = Json::array();
  for (int64_t step = 0; step <= schedule.last_step; ++step)
    if (schedule.due(step)) rounds.push_back({{"step", step + 1}, {"keep", 1 - schedule.at(step)}});
  return rounds;
}

}  // namespace

Json planned_rounds(const PruneOptions& options, const LoadedModel& loaded, const GradualPruning& pruning,
                    at::Device device, RunContext& context) {
  return rounds_json(options, pruning, TrainingRun({"prune", options}, loaded, device, context).steps());
}

ExitCode prune_gradually(const PruneOptions& options, const LoadedModel& loaded, const GradualPruning& pruning,
                         const ChannelSamples& samples, at::Device device, RunContext& context) {
  const ChannelGroups& groups = pruning.groups;
  TrainingRun run({"prune", options}, loaded, device, context);
  const Metrics before = run.measure_before();
  StructurePruner pruner(pruning.graph, groups, run.parameters(), run.optimizer(), pruning.selected, pruning.cost,
                         structure_config(options));
  const SparsitySchedule schedule = rising_schedule(options, run.steps(), 0, 1 - pruning.keep);
  pruner.set_schedule(schedule);
  TrainingParts parts;
  KeptZeros zeros(run.parameters(), run.optimizer(), run.student().model.masked);
  parts.hooks.after_backward = [&](const StepInfo&) { pruner.after_backward(); };
  parts.hooks.after_step = [&](const StepInfo& info) {
    zeros.apply();
    pruner.after_step(info.step, info.learning_rate, info.skipped());
  };
  parts.state = pruner.state();
  parts.sparsity = [&] { return pruner.removed_share(); };
  parts.complete = [&] { return pruner.complete(); };
  if (options.importance == "taylor" || options.importance == "fisher")
    parts.scored = [&](int64_t step) { return step <= schedule.last_step; };
  parts.weights_replaced = [&] { pruner.apply(); };
  const ExitCode end = run.train(parts);
  if (end == ExitCode::preempted) return end;
  const Graph trained = with_trained(pruning.graph, run.parameters().export_tensors());
  const RemovedUnits removed = pruner.removed();
  const Graph shrunk = shrink(trained, groups, removed);
  const ShrinkProof proof =
      proved_shrink(mask_channels(trained, groups, removed), shrunk, samples.inputs(groups.sized));
  Model result = loaded.model;
  result.onnx = with_graph(loaded.model.onnx, shrunk);
  const ShrunkResult smaller{result, groups.sized, with_sizes(shrunk, samples.shapes()), proof};
  const bool reached = pruner.complete() && pruner.reached();
  context.report.plan = {{"widths", widths_json(pruning.graph, groups, pruner.widths())},
                         {"rounds", rounds_json(options, pruning, run.steps())},
                         {"macs_before", graph_cost(groups.sized).macs},
                         {"macs_after", graph_cost(smaller.after).macs},
                         {"parameters_before", graph_cost(pruning.graph).parameters},
                         {"parameters_after", graph_cost(shrunk).parameters},
                         {"reached", reached},
                         {"barriers", barriers_json(groups.barriers)}};
  run.write_model(std::move(result), shrunk_lineage(options), &before);
  run.finish();
  report_shrunk(smaller, context);
  return reached ? ExitCode::ok : ExitCode::goal_missed;
}

}  // namespace pare
