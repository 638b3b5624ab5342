#include "compress/pruner.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ops/ne.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "kernels/mask.hpp"
#include "kernels/threshold.hpp"
#include "src/core/error.hpp"

namespace pare {
namespace {

// A gradient in the weight's memory layout, as the kernels see both as flat arrays.
at::Tensor laid_out_as(const at::Tensor& gradient, const at::Tensor& weight) {
  if (gradient.strides() == weight.strides()) return gradient;
  at::Tensor result = at::zeros_like(weight);
  result.copy_(gradient);
  return result;
}

}  // namespace

Pruner::Pruner(const Parameters& parameters, const Optimizer& optimizer, PruneConfig config,
               const std::function<bool(const std::string&)>& selected, const std::vector<std::string>& masked)
    : config_(std::move(config)) {
  const c10::AutoGradMode no_grad(false);
  for (const Parameter& parameter : parameters.all()) {
    if (parameter.role != Role::weight || !selected(parameter.name)) continue;
    Target target{parameter.name,
                  parameter.tensor,
                  at::zeros_like(parameter.tensor),
                  at::ones_like(parameter.tensor, parameter.tensor.options().dtype(at::kByte).requires_grad(false)),
                  {}};
    if (std::find(masked.begin(), masked.end(), parameter.name) != masked.end())
      target.mask.copy_(at::ne(parameter.tensor, 0));
    for (const OptimizerState& state : optimizer.states())
      if (state.name == parameter.name) target.moments = state.moments;
    targets_.push_back(std::move(target));
  }
  if (targets_.empty())
    fail_usage(
        "prune: no weight of a convolution, matrix product or recurrent layer is selected; check --include and "
        "--exclude");
  device_.cuda = targets_.front().weight.is_cuda();
  found_inf_ = at::zeros({1}, targets_.front().weight.options().requires_grad(false));
  pending_ = at::zeros({}, at::kBool);
}

void Pruner::accumulate(const at::Tensor& found_inf) {
  const c10::AutoGradMode no_grad(false);
  std::vector<kernels::ScoreTensor> tensors;
  std::vector<at::Tensor> gradients;
  for (const Target& target : targets_) {
    if (!target.weight.grad().defined()) continue;
    gradients.push_back(laid_out_as(target.weight.grad(), target.weight));
    tensors.push_back({target.weight.const_data_ptr<float>(), gradients.back().const_data_ptr(),
                       kernels::FloatType::fp32, target.score.mutable_data_ptr<float>(), target.weight.numel()});
  }
  kernels::ScoreStep step;
  step.importance = config_.importance;
  step.decay = static_cast<float>(config_.average);
  if (config_.importance == kernels::Importance::magnitude) step.accumulate = kernels::Accumulate::replace;
  step.check_gradients = !found_inf.defined();
  const at::Tensor& flag = found_inf.defined() ? found_inf : found_inf_;
  kernels::accumulate_scores(device_, step, tensors, flag.mutable_data_ptr<float>());
}

void Pruner::after_step(int64_t step, const at::Tensor& found_inf) {
  const c10::AutoGradMode no_grad(false);
  if (schedule_ && (schedule_->due(step) || pending_.item<bool>())) {
    const bool skipped = found_inf.defined() && found_inf.item<float>() != 0;
    pending_.fill_(skipped);
    if (!skipped) renew_masks(schedule_->at(step));
  }
  apply();
}

void Pruner::renew_masks(double sparsity) {
  // A pruned weight scores lowest: what is pruned stays pruned.
  if (config_.scope == "global") {
    select(targets_, sparsity);
    return;
  }
  for (Target& target : targets_) select({&target, 1}, sparsity);
}

void Pruner::select(std::span<Target> targets, double sparsity) {
  std::vector<kernels::ScoreView> views;
  std::vector<kernels::ScoreMask> masks;
  int64_t elements = 0;
  for (Target& target : targets) {
    views.push_back({target.score.const_data_ptr<float>(), target.score.numel()});
    masks.push_back(
        {target.score.const_data_ptr<float>(), target.mask.mutable_data_ptr<uint8_t>(), target.score.numel()});
    elements += target.score.numel();
  }
  // At least the asked share: rounding up, but never everything.
  const auto pruned =
      std::min<int64_t>(elements - 1, static_cast<int64_t>(std::ceil(sparsity * static_cast<double>(elements) - 1e-9)));
  const kernels::Selection selection = kernels::select_smallest(device_, views, pruned);
  const kernels::Selection largest = kernels::select_smallest(device_, views, elements);
  if (largest.threshold == 0)
    fail_run(
        "prune: all scores of '{}' are zero, so nothing says which weights matter; use labels or --importance "
        "magnitude",
        targets.front().name);
  kernels::write_masks(device_, masks, selection);
}

void Pruner::apply() {
  std::vector<kernels::MaskedTensor> tensors;
  for (Target& target : targets_) {
    kernels::MaskedTensor masked{target.mask.const_data_ptr<uint8_t>(), {}, target.weight.numel()};
    size_t next = 0;
    masked.values[next++] = target.weight.mutable_data_ptr<float>();
    masked.values[next++] = target.score.mutable_data_ptr<float>();
    for (at::Tensor& moment : target.moments) masked.values[next++] = moment.mutable_data_ptr<float>();
    tensors.push_back(masked);
  }
  kernels::apply_masks(device_, tensors);
}

int64_t Pruner::selected_elements() const {
  int64_t elements = 0;
  for (const Target& target : targets_) elements += target.mask.numel();
  return elements;
}

double Pruner::sparsity() const {
  int64_t kept = 0;
  for (const Target& target : targets_) kept += target.mask.sum().item<int64_t>();
  return 1.0 - static_cast<double>(kept) / static_cast<double>(selected_elements());
}

std::vector<std::string> Pruner::masked_names() const {
  std::vector<std::string> names;
  for (const Target& target : targets_) names.push_back(target.name);
  return names;
}

std::map<std::string, at::Tensor> Pruner::state() const {
  std::map<std::string, at::Tensor> tensors;
  for (const Target& target : targets_) {
    tensors.emplace("mask/" + target.name, target.mask);
    tensors.emplace("score/" + target.name, target.score);
  }
  tensors.emplace("masks pending", pending_);
  return tensors;
}

}  // namespace pare
