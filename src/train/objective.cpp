#include "src/train/objective.hpp"

#include "src/train/metrics.hpp"

namespace pare {

Objective::Objective(Runnable student, Runnable teacher, LossConfig config, at::Device device, bool train_batch_norm)
    : student_(student), teacher_(teacher), config_(config), device_(device), train_batch_norm_(train_batch_norm) {}

at::Tensor Objective::operator()(const Batch& batch, const StepInfo&) const {
  const std::vector<at::Tensor> inputs = inputs_of(batch, device_);
  at::Tensor taught;
  if (teacher_.executor != nullptr) {
    const c10::AutoGradMode no_grad(false);
    taught = teacher_.executor->run(*teacher_.parameters, inputs, false).at(0);
  }
  const at::Tensor logits = student_.executor->run(*student_.parameters, inputs, train_batch_norm_).at(0);
  return training_loss(logits, labels_of(batch, device_), taught, config_);
}

}  // namespace pare
