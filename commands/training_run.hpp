// What prune and distill share: the training of one model with teacher, validation, history, checkpoints and progress,
// and the writing and re-reading of the result.
#pragma once

#include <memory>

#include "commands/engine_run.hpp"
#include "commands/training_command.hpp"
#include "src/train/best_model.hpp"
#include "src/train/feature_pairs.hpp"
#include "src/train/fidelity.hpp"
#include "src/train/objective.hpp"

namespace pare {

struct TrainingRequest {
  const char* command;
  const TrainingCommand& options;
  int64_t batch_norm_steps = 0;  // statistics are trained in the first so many steps; 0: in all of them
};

// What a command adds to the training. Everything may be empty.
struct TrainingParts {
  FitHooks hooks;  // on_epoch, on_progress and save are the run's own
  std::map<std::string, at::Tensor>
      state;                         // tensors of the hooks that belong to the model (masks) and into checkpoints
  std::function<double()> sparsity;  // enters the history
  std::function<bool()> complete;    // whether the present model may be the result (its goal is reached)
  // Steps whose gradients are scored: without labels the loss then has a part that is not zero where the model equals
  // its teacher.
  std::function<bool(int64_t step)> scored;
  std::function<void()> weights_replaced;  // weights came from a moving average: what must hold of them is made so
};

class TrainingRun {
 public:
  // Opens the data and the teacher, and prepares parameters and optimizer. Throws exit 2 and 3 for what does not fit.
  TrainingRun(const TrainingRequest& request, LoadedModel student, at::Device device, RunContext& context);

  const LoadedModel& student() const { return student_; }
  Parameters& parameters() { return parameters_; }
  Optimizer& optimizer() { return state_->optimizer; }
  int64_t steps() const { return steps_; }
  at::Device device() const { return device_; }
  // What training will take beside the program and the data, about: activations and their gradients of one batch,
  // weights with gradients and moments.
  int64_t estimated_bytes() const;

  // The plan that trains; it reads parameters().
  const Executor& executor() const { return executor_; }
  // The data of the final measurement.
  const Dataset& final_samples() const { return *final_; }

  // Outputs and metrics of a model on the data of the final measurement.
  Evaluation measure(const Graph& graph) const;

  // What is learned from, as rows (what, value) of a plan for people, and for the report.
  std::vector<std::pair<std::string, std::string>> plan_rows() const;
  Json plan_json() const;

  // Metrics of the model as it was given, on the data of the final measurement. No samples where there are no labels.
  Metrics measure_before() const;

  // Trains, and leaves the model that is the result in parameters(): the best on the validation samples where there are
  // some, else the moving average with --ema, else the last. Returns ok, or preempted after a checkpoint.
  ExitCode train(const TrainingParts& parts);

  // Writes the trained model to every output, opens each written file again, measures the first, and fills the report's
  // result and metrics. `lineage` is the step that this command adds.
  void write(const std::vector<std::string>& masked, Json lineage, const Metrics* before);
  // The same of a model that was made from the trained one.
  void write_model(Model result, Json lineage, const Metrics* before);

  // Puts into the report how good the outputs of the written model are: accuracy and loss with labels (and the drop
  // from `before`, unless null); without, how near they are to the targets or to the teacher.
  void report_quality(const Evaluation& evaluation, const Metrics* before);

  // What metrics.cosine is measured against, for tables.
  const char* compared_with() const;

  // Removes the checkpoint, and the run folder where the command made it: the work is done.
  void finish();

 private:
  // What train() works with beside the members.
  struct Loop;

  // Refuses (exit 2) gates that the data of the final measurement cannot answer.
  void check_gates() const;
  FitConfig fit_config() const;
  int64_t batch_norm_steps() const;
  // --batch-norm reestimate
  void reestimate_statistics();
  void resume(Loop& loop);
  void save(const Loop& loop, int64_t steps) const;
  void report_progress(Loop& loop, const StepInfo& info);
  bool end_epoch(Loop& loop, const StepInfo& info);
  void validate(Loop& loop, const StepInfo& info, Json& row);
  Json run_settings() const;
  void open_teachers();
  void plan_outputs();
  void check_match() const;
  void plan_features();
  void drop_unequal_pairs();
  void keep_outputs(const std::string& folder);
  bool only_softmax_matters(size_t output) const;
  size_t teacher_output(const Graph& teacher, size_t output) const;
  Objective objective(const TrainingParts& parts) const;
  // What outputs are compared with where there are no labels: targets of the data for a regression, else the outputs of
  // the first teacher; empty without.
  std::vector<at::Tensor> reference(const Dataset& dataset) const;

  // A model to learn from: its graph as it runs, with the outputs that the student wants.
  struct TeacherModel {
    LoadedModel loaded;
    Graph inference;
    Graph graph;
    std::optional<Executor> executor;
    std::optional<Parameters> parameters;
  };

  TrainingRequest request_;
  LoadedModel student_;
  at::Device device_;
  RunContext& context_;
  Executor executor_;
  Parameters parameters_;
  std::string precision_;
  DatasetPtr train_;
  DatasetPtr validation_;  // measured after each epoch; may be null
  DatasetPtr final_;       // measured at the end
  LoaderConfig loader_config_;
  std::vector<TeacherModel> teachers_;
  LossPlan loss_plan_;
  std::vector<size_t> taught_;  // outputs that the teacher gives
  std::vector<NamedPair> feature_pairs_;
  std::vector<at::Tensor> adapters_;          // by pair; undefined where none is needed
  std::optional<Executor> feature_executor_;  // of the student with the features as further outputs
  std::unique_ptr<Teacher> teacher_;          // null without
  std::optional<TrainingState> state_;        // after the adapters, which train along
  int64_t steps_ = 0;
  std::string run_dir_;
  bool owns_run_dir_ = false;
};

}  // namespace pare
