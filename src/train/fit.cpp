#include "src/train/fit.hpp"

#include <cmath>
#include <limits>

#include "src/core/error.hpp"
#include "src/train/metrics.hpp"
#include "src/train/precision.hpp"

namespace pare {
namespace {

// Steps between two looks at the loss: reading it waits for the device.
constexpr int64_t loss_interval = 50;

at::Tensor teacher_logits(const Teacher& teacher, const at::Tensor& inputs) {
  if (teacher.executor == nullptr) return {};
  const c10::AutoGradMode no_grad(false);
  return teacher.executor->run(*teacher.parameters, {&inputs, 1}, false).at(0);
}

// Sum of losses on the device since it was last read.
class LossMeter {
 public:
  void add(const at::Tensor& loss) {
    const c10::AutoGradMode no_grad(false);
    sum_ = count_ == 0 ? loss.detach().clone() : sum_.add_(loss.detach());
    ++count_;
  }

  // The mean since the last call. Throws (exit 1) when it is not finite.
  double read(int64_t step) {
    const double mean = sum_.item<double>() / static_cast<double>(count_);
    count_ = 0;
    if (!std::isfinite(mean)) fail_run("training: the loss is {} at step {}; try a smaller --lr", mean, step);
    return mean;
  }

 private:
  at::Tensor sum_;
  int64_t count_ = 0;
};

void call(const std::function<void(const StepInfo&)>& hook, const StepInfo& info) {
  if (hook) hook(info);
}

}  // namespace

FitEnd fit(const FitConfig& config, Learner learner, Teacher teacher, Loader& loader, const Shape& sample_shape,
           at::Device device, int64_t first_step, const FitHooks& hooks, const std::function<bool()>& stop) {
  const int64_t per_epoch = loader.batches_per_epoch();
  StepInfo info{first_step, first_step / per_epoch, std::numeric_limits<double>::quiet_NaN(), 0};
  LossMeter meter;
  loader.start(info.epoch, first_step % per_epoch);
  while (info.step < config.steps) {
    const Batch* batch = loader.next();
    if (batch == nullptr) {
      loader.start(++info.epoch);
      continue;
    }
    info.learning_rate = config.learning_rate.at(info.step);
    const at::Tensor inputs = inputs_of(*batch, sample_shape, device);
    at::Tensor loss;
    {
      const AutocastScope autocast(config.precision, device.type());
      const at::Tensor taught = teacher_logits(teacher, inputs);
      const at::Tensor logits = learner.executor.run(learner.parameters, {&inputs, 1}, config.train_batch_norm).at(0);
      loss = training_loss(logits, labels_of(*batch, device), taught, config.loss);
    }
    learner.optimizer.zero_grad();
    loss.backward();
    call(hooks.after_backward, info);
    learner.optimizer.step(info.learning_rate);
    call(hooks.after_step, info);
    meter.add(loss);
    ++info.step;
    const bool epoch_ends = info.step % per_epoch == 0 || info.step == config.steps;
    if (info.step % loss_interval == 0 || epoch_ends) {
      info.loss = meter.read(info.step);
      call(hooks.on_progress, info);
    }
    if (epoch_ends) call(hooks.on_epoch, info);
    const bool stopped = stop() && info.step < config.steps;
    const bool due = config.checkpoint_every > 0 ? info.step % config.checkpoint_every == 0 : epoch_ends;
    if (hooks.save && (stopped || (due && info.step < config.steps))) hooks.save(info.step);
    if (stopped) return FitEnd::stopped;
  }
  return FitEnd::finished;
}

}  // namespace pare
