// pare prune MODEL: scores weights, masks the least important ones, retrains the rest.
#pragma once

#include "commands/command.hpp"
#include "commands/options_compute.hpp"
#include "commands/options_data.hpp"
#include "commands/options_output.hpp"
#include "commands/options_training.hpp"

namespace pare {

// Metrics: accuracy, accuracy_before, accuracy_drop, loss, and bytes_ratio with a single output.
struct PruneOptions {
  std::string model;
  double sparsity = 0;  // in (0, 1); required
  std::string structure = "weight";
  std::string importance = "taylor";  // magnitude | taylor | fisher
  double average = 0.99;              // decay of the moving average of scores, in [0, 1); 0: the last batch alone
  std::string scope = "global";       // global | layer
  std::string schedule = "cubic";     // one-shot | cubic
  int64_t prune_steps = 0;            // training steps over which sparsity rises; 0: the first half of the training
  std::vector<std::string> include;   // globs over tensor or node names; empty: all prunable
  std::vector<std::string> exclude;
  DataOptions data;
  TrainingOptions training;
  TeacherOptions teacher;
  ComputeOptions compute;
  ResumeOptions resume;
  ModelOutputOptions output;
  ReportOptions report;
};

CommandLine add_prune(CLI::App& app);
ExitCode run_prune(const PruneOptions& options, RunContext& context);

}  // namespace pare
