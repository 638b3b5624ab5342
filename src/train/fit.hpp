// The training loop: batches, loss, backward, step; with hooks for what compression adds. It knows nothing of pruning,
// teachers or files.
#pragma once

#include <functional>

#include "src/data/loader.hpp"
#include "src/train/schedule.hpp"
#include "src/train/training_state.hpp"

namespace pare {

struct FitConfig {
  int64_t steps = 0;       // of the whole training
  int64_t accumulate = 1;  // batches whose mean gradient makes a step; the last step of an epoch may have fewer
  LearningRate learning_rate;
  double clip_norm = 0;            // limit of the norm of all gradients together; 0: none
  std::string precision = "fp32";  // fp32 | bf16 | fp16
  int64_t checkpoint_every = 0;    // steps; 0: at the end of each epoch
};

struct StepInfo {
  int64_t step = 0;  // steps done before this one
  int64_t epoch = 0;
  double loss = 0;  // mean of the epoch so far at the last report of progress; NaN before the first
  double learning_rate = 0;
  at::Tensor found_inf;  // [] float on the device: 1 when the step is left out because its gradients are not finite

  // Whether the step is left out. Waits for the device.
  bool skipped() const { return found_inf.item<float>() != 0; }
};

// The loss of one batch, ready for backward().
using LossFunction = std::function<at::Tensor(const Batch& batch, const StepInfo& info)>;

// Every hook may be empty. A step that is left out runs the hooks too: with found_inf they keep everything as it is.
struct FitHooks {
  // Gradients are complete and unscaled, not yet clipped.
  std::function<void(const StepInfo&)> after_backward;
  std::function<void(const StepInfo&)> after_step;
  // At the end of each epoch and of the training; returns whether to go on.
  std::function<bool(const StepInfo&)> on_epoch;
  std::function<void(const StepInfo&)> on_progress;
  // Writes a checkpoint: `steps` are done.
  std::function<void(int64_t steps)> save;
};

enum class FitEnd { finished, stopped };

// Steps of one epoch.
int64_t steps_per_epoch(const Loader& loader, int64_t accumulate);

// Trains from step `first_step` to config.steps, or until `stop` says so at the end of a step; then saves and returns
// `stopped`. A step whose loss or gradients are not finite is left out: weights, moments, statistics and averages stay.
// Throws (exit 1) after ten such steps in a row.
FitEnd fit(const FitConfig& config, TrainingState& state, const LossFunction& loss_of, Loader& loader,
           at::Device device, int64_t first_step, const FitHooks& hooks, const std::function<bool()>& stop);

}  // namespace pare
