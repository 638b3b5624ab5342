// What prune and distill share: the training of one model with teacher, validation, history, checkpoints and progress,
// and the writing and re-reading of the result.
#pragma once

#include "commands/engine_run.hpp"
#include "commands/options_output.hpp"
#include "commands/options_training.hpp"
#include "src/train/fit.hpp"

namespace pare {

struct TrainingRequest {
  const char* command;
  const TrainingOptions& training;
  const TeacherOptions& teacher;
  const DataOptions& data;
  const ComputeOptions& compute;
  const ResumeOptions& resume;
  const ModelOutputOptions& output;
};

class TrainingRun {
 public:
  // Opens the data and the teacher, and prepares parameters and optimizer. Throws exit 2 and 3 for what does not fit.
  TrainingRun(const TrainingRequest& request, LoadedModel student, at::Device device, RunContext& context);

  const LoadedModel& student() const { return student_; }
  Parameters& parameters() { return parameters_; }
  Optimizer& optimizer() { return optimizer_; }
  int64_t steps() const { return steps_; }
  at::Device device() const { return device_; }
  // What training will take beside the program and the data, about: activations and their gradients of one batch,
  // weights with gradients and moments.
  int64_t estimated_bytes() const;

  // Metrics of the model as it was given, on the data of the final measurement.
  Metrics measure_before() const;

  // Trains. `state`: tensors of the hooks that belong into checkpoints; `sparsity`, when given, enters the history.
  // Returns ok, or preempted after a checkpoint.
  ExitCode train(FitHooks hooks, const std::map<std::string, at::Tensor>& state,
                 const std::function<double()>& sparsity);

  // Writes the trained model to every output, opens each written file again, measures the first, and fills the report's
  // result and metrics. `lineage` is the step that this command adds.
  void write(const std::vector<std::string>& masked, Json lineage, const Metrics* before);

  // Removes the run folder: the command is done.
  void finish();

 private:
  void resume(const std::map<std::string, at::Tensor>& state, int64_t& first_step);
  void save(const std::map<std::string, at::Tensor>& state, int64_t steps) const;
  std::map<std::string, at::Tensor> tensors_with(const std::map<std::string, at::Tensor>& state) const;
  Json run_settings() const;
  void open_teacher();

  TrainingRequest request_;
  LoadedModel student_;
  at::Device device_;
  RunContext& context_;
  Executor executor_;
  Parameters parameters_;
  Optimizer optimizer_;
  std::optional<LoadedModel> teacher_model_;
  std::optional<Executor> teacher_executor_;
  std::optional<Parameters> teacher_parameters_;
  DatasetPtr train_;
  DatasetPtr validation_;  // measured after each epoch; may be null
  DatasetPtr final_;       // measured at the end
  LoaderConfig loader_config_;
  int64_t steps_ = 0;
  std::string run_dir_;
  bool owns_run_dir_ = false;
};

}  // namespace pare
