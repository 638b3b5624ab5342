#include "src/train/optimizer.hpp"

#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros_like.h>

namespace pare {

Optimizer::Optimizer(const Parameters& parameters, OptimizerConfig config) : config_(std::move(config)), groups_(2) {
  groups_[0].weight_decay = config_.weight_decay;
  for (const Parameter& parameter : parameters.all())
    if (parameter.role == Role::weight || parameter.role == Role::offset)
      add(groups_[parameter.role == Role::weight ? 0 : 1], parameter);
}

void Optimizer::add(Group& group, const Parameter& parameter) {
  const c10::AutoGradMode no_grad(false);
  OptimizerState state{parameter.name, parameter.tensor, {at::zeros_like(parameter.tensor)}};
  group.leaves.push_back(parameter.tensor);
  group.first.push_back(state.moments[0]);
  if (config_.kind == "adamw") {
    state.moments.push_back(at::zeros_like(parameter.tensor));
    group.second.push_back(state.moments[1]);
    group.counts.push_back(at::full({}, 0.0f, parameter.tensor.options().requires_grad(false)));
  }
  states_.push_back(std::move(state));
}

void Optimizer::step(double learning_rate) {
  const c10::AutoGradMode no_grad(false);
  for (Group& group : groups_) {
    // Leaves that this batch did not reach have no gradient and stay as they are.
    std::vector<at::Tensor> leaves, gradients, first, second, counts;
    for (size_t i = 0; i < group.leaves.size(); ++i) {
      if (!group.leaves[i].grad().defined()) continue;
      leaves.push_back(group.leaves[i]);
      gradients.push_back(group.leaves[i].grad());
      first.push_back(group.first[i]);
      if (config_.kind != "adamw") continue;
      second.push_back(group.second[i]);
      counts.push_back(group.counts[i].add_(1));
    }
    if (leaves.empty()) continue;
    if (config_.kind == "adamw")
      at::_fused_adamw_(leaves, gradients, first, second, {}, counts, learning_rate, 0.9, 0.999, group.weight_decay,
                        1e-8, false, false);
    else
      at::_fused_sgd_(leaves, gradients, first, group.weight_decay, 0.9, learning_rate, 0.0, true, false,
                      steps_done_ == 0);
  }
  ++steps_done_;
}

void Optimizer::zero_grad() {
  for (Group& group : groups_)
    for (at::Tensor& leaf : group.leaves) leaf.mutable_grad() = at::Tensor();
}

void Optimizer::set_steps_done(int64_t steps) {
  const c10::AutoGradMode no_grad(false);
  steps_done_ = steps;
  for (Group& group : groups_)
    for (at::Tensor& count : group.counts) count.fill_(static_cast<double>(steps));
}

}  // namespace pare
