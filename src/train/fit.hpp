// The training loop: batches, teacher, loss, backward, step; with hooks for what compression adds. It knows nothing of
// pruning.
#pragma once

#include <functional>

#include "src/data/loader.hpp"
#include "src/exec/executor.hpp"
#include "src/train/loss.hpp"
#include "src/train/optimizer.hpp"
#include "src/train/schedule.hpp"

namespace pare {

struct FitConfig {
  int64_t steps = 0;  // of the whole training
  LearningRate learning_rate;
  LossConfig loss;
  std::string precision = "fp32";  // fp32 | bf16
  bool train_batch_norm = true;    // false: running statistics are used and kept
  int64_t checkpoint_every = 0;    // steps; 0: at the end of each epoch
};

struct StepInfo {
  int64_t step = 0;  // steps done before this one
  int64_t epoch = 0;
  double loss = 0;  // mean since the last report of progress; NaN before the first
  double learning_rate = 0;
};

// What is trained, and from what.
struct Learner {
  const Executor& executor;
  Parameters& parameters;
  Optimizer& optimizer;
};

struct Teacher {
  const Executor* executor = nullptr;  // null: labels alone
  const Parameters* parameters = nullptr;
};

// Every hook may be empty.
struct FitHooks {
  // Gradients are complete and unscaled.
  std::function<void(const StepInfo&)> after_backward;
  std::function<void(const StepInfo&)> after_step;
  std::function<void(const StepInfo&)> on_epoch;
  std::function<void(const StepInfo&)> on_progress;
  // Writes a checkpoint: `steps` are done.
  std::function<void(int64_t steps)> save;
};

enum class FitEnd { finished, stopped };

// Trains from step `first_step` to config.steps, or until `stop` says so at the end of a step; then saves and returns
// `stopped`. Throws (exit 1) when the loss is not finite.
FitEnd fit(const FitConfig& config, Learner learner, Teacher teacher, Loader& loader, const Shape& sample_shape,
           at::Device device, int64_t first_step, const FitHooks& hooks, const std::function<bool()>& stop);

}  // namespace pare
