// `pare prune --structure channel|head` in rounds, with training between them.
#pragma once

#include "commands/channel_samples_run.hpp"
#include "commands/engine_run.hpp"

namespace pare {

struct GradualPruning {
  const Graph& graph;  // in which the groups are
  const ChannelGroups& groups;
  std::vector<bool> selected;
  WidthCost cost;
  double keep = 1;  // share of the cost that is left at the end
};

// The rounds that the training would have: at which step, and what share of the cost is left then.
Json planned_rounds(const PruneOptions& options, const LoadedModel& loaded, const GradualPruning& pruning,
                    at::Device device, RunContext& context);

// Trains the model as it is while more and more channels become zero, cuts them out, proves, writes and measures the
// smaller model, and fills the report. Returns ok, goal_missed, or preempted after a checkpoint.
ExitCode prune_gradually(const PruneOptions& options, const LoadedModel& loaded, const GradualPruning& pruning,
                         const ChannelSamples& samples, at::Device device, RunContext& context);

}  // namespace pare
