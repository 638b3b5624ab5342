// An exponential moving average of all weights and statistics over the training steps (Polyak & Juditsky 1992).
#pragma once

#include "src/exec/parameters.hpp"

namespace pare {

class WeightAverage {
 public:
  // Starts at the present weights. `decay` in (0, 1).
  WeightAverage(const Parameters& parameters, double decay);

  // Moves the average towards the present weights by 1 - min(decay, (1 + t) / (10 + t)) with t the updates before: a
  // short training is not dominated by its first weights. `found_inf` [] float: where it is 1, nothing moves.
  void update(const at::Tensor& found_inf);
  // Exchanges the average and the weights.
  void swap();

  std::map<std::string, at::Tensor> state() const;

 private:
  double decay_;
  std::vector<std::string> names_;
  std::vector<at::Tensor> weights_;
  std::vector<at::Tensor> averages_;
  at::Tensor updates_;  // [] float on the device
};

}  // namespace pare
