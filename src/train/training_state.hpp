// What a training carries from step to step beside the weights: optimizer, guard against bad gradients, mean loss, and
// the moving average of the weights where one is wanted.
#pragma once

#include "src/train/loss_meter.hpp"
#include "src/train/optimizer.hpp"
#include "src/train/step_guard.hpp"
#include "src/train/weight_average.hpp"

namespace pare {

struct TrainingState {
  // `ema`: decay of the moving average; 0: none.
  TrainingState(const Parameters& parameters, const OptimizerConfig& optimizer_config,
                LossScaling scaling = LossScaling::none, double ema = 0);

  // Everything by name, for checkpoints; contents may be replaced in place.
  std::map<std::string, at::Tensor> tensors() const;

  Optimizer optimizer;
  StepGuard guard;
  LossMeter loss;
  std::optional<WeightAverage> average;
};

}  // namespace pare
