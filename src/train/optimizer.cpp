#include "src/train/optimizer.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/rsub.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

namespace pare {

Optimizer::Optimizer(const Parameters& parameters, OptimizerConfig config) : config_(std::move(config)), groups_(3) {
  groups_[0].weight_decay = config_.weight_decay;
  groups_[2].logarithmic = true;
  for (const Parameter& parameter : parameters.all()) {
    switch (parameter.role) {
      case Role::weight:
      case Role::moved_weight:
        add(groups_[0], parameter);
        break;
      case Role::offset:
        add(groups_[1], parameter);
        break;
      case Role::step:
        add(groups_[2], parameter);
        break;
      case Role::none:
      case Role::statistics:
        break;
    }
  }
}

void Optimizer::add(Group& group, const Parameter& parameter) {
  const c10::AutoGradMode no_grad(false);
  OptimizerState state{parameter.name, parameter.tensor, {}, {}};
  const auto add_moment = [&](std::vector<at::Tensor>& moments) {
    moments.push_back(at::zeros_like(parameter.tensor));
    state.moments.push_back(moments.back());
  };
  group.leaves.push_back(parameter.tensor);
  if (config_.kind == "adamw") {
    add_moment(group.first);
    add_moment(group.second);
    state.count = at::zeros({}, parameter.tensor.options().requires_grad(false));
    group.counts.push_back(state.count);
  } else if (config_.momentum > 0) {
    add_moment(group.first);
  }
  states_.push_back(std::move(state));
}

void Optimizer::step(double learning_rate, const at::Tensor& found_inf) {
  const c10::AutoGradMode no_grad(false);
  std::optional<at::Tensor> skip;
  if (found_inf.defined()) skip = found_inf;
  for (Group& group : groups_) {
    // Leaves that this batch did not reach have no gradient and stay as they are.
    std::vector<at::Tensor> leaves, gradients, first, second, counts, steps;
    for (size_t i = 0; i < group.leaves.size(); ++i) {
      if (!group.leaves[i].grad().defined()) continue;
      leaves.push_back(group.leaves[i]);
      gradients.push_back(group.leaves[i].grad());
      if (group.logarithmic) {  // the kernel moves the logarithm away from 0, which the step is then multiplied with
        steps.push_back(group.leaves[i]);
        leaves.back() = at::zeros_like(steps.back());
        gradients.back() = gradients.back() * steps.back();
      }
      if (!group.first.empty()) first.push_back(group.first[i]);
      if (config_.kind != "adamw") continue;
      second.push_back(group.second[i]);
      counts.push_back(skip ? group.counts[i].add_(at::rsub(*skip, 1.0)) : group.counts[i].add_(1));
    }
    if (leaves.empty()) continue;
    // Momentum starts at zero, so the kernel's first step needs no case of its own.
    if (config_.kind == "adamw")
      at::_fused_adamw_(leaves, gradients, first, second, {}, counts, learning_rate, 0.9, 0.999, group.weight_decay,
                        1e-8, false, false, {}, skip);
    else
      at::_fused_sgd_(leaves, gradients, first, group.weight_decay, config_.momentum, learning_rate, 0.0,
                      config_.nesterov && config_.momentum > 0, false, false, {}, skip);
    for (size_t i = 0; i < steps.size(); ++i) steps[i].mul_(leaves[i].exp_());
  }
}

void Optimizer::zero_grad() {
  for (Group& group : groups_)
    for (at::Tensor& leaf : group.leaves) leaf.mutable_grad() = at::Tensor();
}

std::map<std::string, at::Tensor> Optimizer::state() const {
  std::map<std::string, at::Tensor> tensors;
  for (const OptimizerState& state : states_) {
    for (size_t i = 0; i < state.moments.size(); ++i)
      tensors.emplace(fmt::format("moment{}/{}", i, state.name), state.moments[i]);
    if (state.count.defined()) tensors.emplace("count/" + state.name, state.count);
  }
  return tensors;
}

}  // namespace pare
