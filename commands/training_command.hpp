// What the commands that train have in common: prune, qat and distill add their own options to these.
#pragma once

#include "commands/command.hpp"
#include "commands/options_compute.hpp"
#include "commands/options_data.hpp"
#include "commands/options_output.hpp"
#include "commands/options_training.hpp"

namespace pare {

struct TrainingCommand {
  DataOptions data;
  TrainingOptions training;
  TeacherOptions teacher;
  ComputeOptions compute;
  ResumeOptions resume;
  ModelOutputOptions output;
  ReportOptions report;
};

// Data, training and teacher of a command that retrains MODEL: the original is the teacher where nothing else is said.
void add_retraining_options(CLI::App& app, TrainingCommand& options);

// Numbers that the report of a trained model holds: with labels accuracy and loss, without the likeness to the teacher.
std::vector<std::string> measurable_of_training(const TrainingCommand& options);

// Outputs, device, run folder and report: the last groups of the help.
void add_run_options(CLI::App& app, TrainingCommand& options);

}  // namespace pare
