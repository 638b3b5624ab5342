#include "src/train/fit.hpp"

#include <limits>

#include <ATen/TensorOperators.h>

#include "src/core/error.hpp"
#include "src/train/precision.hpp"

namespace pare {
namespace {

// Steps between two looks at the loss and the counters: reading them waits for the device.
constexpr int64_t look_interval = 25;
constexpr int64_t most_skipped_in_a_row = 10;

void call(const std::function<void(const StepInfo&)>& hook, const StepInfo& info) {
  if (hook) hook(info);
}

// Mean loss of the batches of one step, with its gradient in the leaves.
at::Tensor backward(const FitConfig& config, const TrainingState& state, const LossFunction& loss_of, Loader& loader,
                    at::DeviceType device, const StepInfo& info, int64_t batches) {
  at::Tensor sum;
  for (int64_t i = 0; i < batches; ++i) {
    const Batch* batch = loader.next();
    at::Tensor loss;
    {
      const AutocastScope autocast(config.precision, device);
      loss = loss_of(*batch, info);
    }
    if (!loss.requires_grad())
      fail_input(
          "training: the loss does not depend on any weight that can be trained; the weights of a quantized model are "
          "trained by `pare qat`");
    if (batches > 1) loss = loss / static_cast<double>(batches);
    state.guard.scaled(loss).backward();
    sum = sum.defined() ? sum + loss.detach() : loss.detach();
  }
  return sum;
}

void check_progress(const TrainingState& state, int64_t step) {
  if (state.guard.in_a_row() >= most_skipped_in_a_row)
    fail_run(
        "training: loss or gradients were not finite in {} steps in a row up to step {}; the last checkpoint is kept; "
        "try a smaller --lr, --clip-norm or another --precision",
        state.guard.in_a_row(), step);
}

}  // namespace

int64_t steps_per_epoch(const Loader& loader, int64_t accumulate) {
  return (loader.batches_per_epoch() + accumulate - 1) / accumulate;
}

FitEnd fit(const FitConfig& config, TrainingState& state, const LossFunction& loss_of, Loader& loader,
           at::Device device, int64_t first_step, const FitHooks& hooks, const std::function<bool()>& stop) {
  const int64_t per_epoch = steps_per_epoch(loader, config.accumulate);
  StepInfo info;
  info.step = first_step;
  info.loss = std::numeric_limits<double>::quiet_NaN();
  info.found_inf = state.guard.found_inf();
  bool more = true;
  while (info.step < config.steps && more) {
    info.epoch = info.step / per_epoch;
    const int64_t step_in_epoch = info.step % per_epoch;
    const int64_t first_batch = step_in_epoch * config.accumulate;
    if (step_in_epoch == 0) state.loss.reset();
    if (step_in_epoch == 0 || info.step == first_step) loader.start(info.epoch, first_batch);
    info.learning_rate = config.learning_rate.at(info.step);
    state.guard.begin();
    state.optimizer.zero_grad();
    const int64_t batches = std::min(config.accumulate, loader.batches_per_epoch() - first_batch);
    const at::Tensor loss = backward(config, state, loss_of, loader, device.type(), info, batches);
    state.guard.check(loss);
    call(hooks.after_backward, info);
    if (config.clip_norm > 0) state.guard.clip(config.clip_norm);
    state.optimizer.step(info.learning_rate, info.found_inf);
    state.guard.end();
    call(hooks.after_step, info);
    if (state.average) state.average->update(info.found_inf);
    state.loss.add(loss, info.found_inf);
    ++info.step;
    const bool epoch_ends = info.step % per_epoch == 0 || info.step == config.steps;
    if (device.is_cpu() || info.step % look_interval == 0 || epoch_ends) check_progress(state, info.step);
    if (info.step % look_interval == 0 || epoch_ends) {
      info.loss = state.loss.mean();
      call(hooks.on_progress, info);
    }
    if (epoch_ends && hooks.on_epoch) more = hooks.on_epoch(info);
    const bool stopped = stop() && info.step < config.steps && more;
    // A checkpoint in the middle of bad steps would be no good one to go back to.
    const bool due = (config.checkpoint_every > 0 ? info.step % config.checkpoint_every == 0 : epoch_ends) && more &&
                     info.step < config.steps;
    if (hooks.save && (stopped || (due && state.guard.in_a_row() == 0))) hooks.save(info.step);
    if (stopped) return FitEnd::stopped;
  }
  if (info.step > 0 && state.guard.skipped() == info.step)
    fail_run("training: loss or gradients were not finite in all of the {} steps; nothing was written", info.step);
  // So that nothing is lost where the result cannot be written.
  if (hooks.save && info.step == config.steps && info.step > first_step) hooks.save(info.step);
  return FitEnd::finished;
}

}  // namespace pare
