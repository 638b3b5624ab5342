// What prune and distill share: the training of one model with teacher, validation, history, checkpoints and progress,
// and the writing and re-reading of the result.
#pragma once

#include "commands/engine_run.hpp"
#include "commands/options_output.hpp"
#include "commands/options_training.hpp"
#include "src/train/best_model.hpp"
#include "src/train/objective.hpp"

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

// What a command adds to the training. Everything may be empty.
struct TrainingParts {
  FitHooks hooks;  // on_epoch, on_progress and save are the run's own
  std::map<std::string, at::Tensor>
      state;                               // tensors of the hooks that belong to the model (masks) and into checkpoints
  std::function<double()> sparsity;        // enters the history
  std::function<bool()> complete;          // whether the present model may be the result (its goal is reached)
  std::function<void()> weights_replaced;  // weights came from a moving average: what must hold of them is made so
};

class TrainingRun {
 public:
  static constexpr int64_t evaluation_batch = 500;

  // Opens the data and the teacher, and prepares parameters and optimizer. Throws exit 2 and 3 for what does not fit.
  TrainingRun(const TrainingRequest& request, LoadedModel student, at::Device device, RunContext& context);

  const LoadedModel& student() const { return student_; }
  Parameters& parameters() { return parameters_; }
  Optimizer& optimizer() { return state_.optimizer; }
  int64_t steps() const { return steps_; }
  at::Device device() const { return device_; }
  // What training will take beside the program and the data, about: activations and their gradients of one batch,
  // weights with gradients and moments.
  int64_t estimated_bytes() const;

  // Metrics of the model as it was given, on the data of the final measurement.
  Metrics measure_before() const;

  // Trains, and leaves the model that is the result in parameters(): the best on the validation samples where there are
  // some, else the moving average with --ema, else the last. Returns ok, or preempted after a checkpoint.
  ExitCode train(const TrainingParts& parts);

  // Writes the trained model to every output, opens each written file again, measures the first, and fills the report's
  // result and metrics. `lineage` is the step that this command adds.
  void write(const std::vector<std::string>& masked, Json lineage, const Metrics* before);

  // Removes the checkpoint, and the run folder where the command made it: the work is done.
  void finish();

 private:
  // What train() works with beside the members.
  struct Loop;

  FitConfig fit_config() const;
  void resume(Loop& loop);
  void save(const Loop& loop, int64_t steps) const;
  void report_progress(Loop& loop, const StepInfo& info);
  bool end_epoch(Loop& loop, const StepInfo& info);
  Metrics validate(Loop& loop, const StepInfo& info);
  Json run_settings() const;
  void open_teacher();

  TrainingRequest request_;
  LoadedModel student_;
  at::Device device_;
  RunContext& context_;
  Executor executor_;
  Parameters parameters_;
  std::string precision_;
  TrainingState state_;
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
