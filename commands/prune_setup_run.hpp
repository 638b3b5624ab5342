// What `pare prune` does before it scores: which weights, which masks they have, and what the options come to.
#pragma once

#include <set>

#include "commands/engine_run.hpp"
#include "commands/prune.hpp"
#include "compress/pruner.hpp"

namespace pare {

PruneConfig prune_config(const PruneOptions& options);

// The sparsity that is asked for: --sparsity, or what N:M comes to.
double target_sparsity(const PruneOptions& options);

// The weights that --include and --exclude choose. Warns of those that are outputs of the graph, which stay as they
// are, and of those whose sums N:M does not divide.
std::set<std::string> prunable_weights(const PruneOptions& options, const Graph& graph, RunContext& context);

// When what is removed changes in a training of `steps`, from the sparsity `initial` to `target`: --schedule and
// --prune-steps.
SparsitySchedule rising_schedule(const PruneOptions& options, int64_t steps, double initial, double target);
// The same for masks of weights; `initial`: the sparsity that they have.
SparsitySchedule prune_schedule(const PruneOptions& options, int64_t steps, double initial);

// Refuses (exit 2) a target that the weights exceed already.
void check_target(const PruneOptions& options, const Pruner& pruner);

// The report's plan, and its table, for --dry-run. `peak_bytes`: for training; 0 without. `learned`: what training
// learns from, as rows of the table.
void report_plan(const PruneOptions& options, const Model& model, const Pruner& pruner, int64_t steps,
                 int64_t peak_bytes, const std::vector<std::pair<std::string, std::string>>& learned,
                 RunContext& context);

Json prune_lineage(const PruneOptions& options);

// After the report's result is there: adds the bytes of all tensors dense and in the smallest layouts of the HDF5 file,
// and what the zeros are good for; warns of weights that are zero altogether; prints the table, in which metrics.cosine
// is called `compared_with`. Returns goal_missed when the target is not reached.
ExitCode report_pruned(const PruneOptions& options, const Graph& graph, const std::map<std::string, Tensor>& tensors,
                       const Pruner& pruner, const char* compared_with, RunContext& context);

}  // namespace pare
