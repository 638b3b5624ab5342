#include "src/train/training_state.hpp"

namespace pare {

TrainingState::TrainingState(const Parameters& parameters, const OptimizerConfig& optimizer_config, LossScaling scaling,
                             double ema)
    : optimizer(parameters, optimizer_config), guard(parameters, scaling), loss(guard.found_inf().device()) {
  if (ema > 0) average.emplace(parameters, ema);
}

std::map<std::string, at::Tensor> TrainingState::tensors() const {
  std::map<std::string, at::Tensor> tensors = optimizer.state();
  tensors.merge(guard.state());
  tensors.merge(loss.state());
  if (average) tensors.merge(average->state());
  return tensors;
}

}  // namespace pare
