// pare distill STUDENT --teacher T: trains a student from a teacher; `--teacher none` is training on labels alone.
#pragma once

#include "commands/command.hpp"
#include "commands/options_compute.hpp"
#include "commands/options_data.hpp"
#include "commands/options_output.hpp"
#include "commands/options_training.hpp"

namespace pare {

// Metrics: accuracy, loss; accuracy_before and accuracy_drop are those of the student before training with --init keep.
struct DistillOptions {
  std::string student;
  std::string init = "kaiming";  // kaiming | keep
  DataOptions data;
  TrainingOptions training;
  TeacherOptions teacher;
  ComputeOptions compute;
  ResumeOptions resume;
  ModelOutputOptions output;
  ReportOptions report;
};

CommandLine add_distill(CLI::App& app);
ExitCode run_distill(const DistillOptions& options, RunContext& context);

}  // namespace pare
