// pare distill STUDENT --teacher T: trains a student from a teacher; `--teacher none` is training on labels alone.
#pragma once

#include "commands/training_command.hpp"

namespace pare {

// Metrics: accuracy, loss; accuracy_before and accuracy_drop are those of the student before training with --init keep.
struct DistillOptions : TrainingCommand {
  std::string student;
  std::string init = "kaiming";  // kaiming | keep
};

CommandLine add_distill(CLI::App& app);
ExitCode run_distill(const DistillOptions& options, RunContext& context);

}  // namespace pare
