// pare prune MODEL: scores weights, masks the least important ones, retrains the rest.
#pragma once

#include "commands/options_channels.hpp"
#include "commands/training_command.hpp"

namespace pare {

// Metrics, with labelled data: accuracy, accuracy_before, accuracy_drop, loss; bytes_ratio with a single output.
struct PruneOptions : TrainingCommand {
  std::string model;
  double sparsity = 0;                 // in (0, 1); 0: not given, as N:M says it
  std::string structure = "weight";    // weight | N:M | block:RxC | channel | head | residual
  std::string importance = "taylor";   // compress/importance.hpp has the table
  double average = 0.99;               // decay of the moving average of scores, in [0, 1]; 1: the sum of all steps
  std::string scope = "auto";          // auto | global | layer | erk
  std::string schedule = "auto";       // auto | one-shot | iterative:N | cubic | linear | exponential
  int64_t prune_steps = 0;             // training steps over which sparsity rises; 0: the first half of the training
  double regrow = 0;                   // share of the kept weights exchanged at a change of the masks
  std::string regrow_by = "gradient";  // gradient | splice
  bool mask_only = false;              // no training; channels become zeros instead of going
  int64_t score_samples = 1024;        // for scores that are measured before or without training
  std::vector<std::string> include;    // globs over tensor or node names; empty: all prunable
  std::vector<std::string> exclude;
  ChannelOptions channels;

  // auto: cubic for weights, one-shot (before the training) for what makes the graph smaller.
  std::string resolved_schedule() const {
    return schedule != "auto" ? schedule : makes_smaller(structure) ? "one-shot" : "cubic";
  }
  // Whether channels go while the model trains, not before.
  bool gradual() const {
    return removes_channels(structure) && (resolved_schedule() != "one-shot" || channels.group_penalty > 0);
  }
  bool trains() const { return !mask_only && (training.steps > 0 || training.epochs > 0); }
};

CommandLine add_prune(CLI::App& app);
ExitCode run_prune(const PruneOptions& options, RunContext& context);

}  // namespace pare
