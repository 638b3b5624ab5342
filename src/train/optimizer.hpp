// SGD and AdamW on ATen's fused kernels, with their state open to masks and checkpoints.
#pragma once

#include <memory>

#include "src/exec/parameters.hpp"

namespace pare {

struct OptimizerConfig {
  std::string kind = "adamw";  // adamw (Loshchilov & Hutter 2019; betas 0.9, 0.999) | sgd (Nesterov momentum 0.9)
  double weight_decay = 0;     // of weights; offsets are never decayed
};

// State tensors of one parameter, in the parameter's layout: momentum, or first and second moments.
struct OptimizerState {
  std::string name;
  at::Tensor weight;
  std::vector<at::Tensor> moments;
};

class Optimizer {
 public:
  Optimizer(const Parameters& parameters, OptimizerConfig config);

  // Updates every leaf from its gradient.
  void step(double learning_rate);
  void zero_grad();

  const std::vector<OptimizerState>& states() const { return states_; }
  int64_t steps_done() const { return steps_done_; }
  // For resuming: the moments were copied into states() by the caller.
  void set_steps_done(int64_t steps);

 private:
  // Leaves that share a weight decay, in the form the fused kernels take.
  struct Group {
    double weight_decay = 0;
    std::vector<at::Tensor> leaves, first, second, counts;
  };

  void add(Group& group, const Parameter& parameter);

  OptimizerConfig config_;
  std::vector<Group> groups_;
  std::vector<OptimizerState> states_;
  int64_t steps_done_ = 0;
};

}  // namespace pare
