#include "src/train/step_guard.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_amp_foreach_non_finite_check_and_unscale.h>
#include <ATen/ops/_amp_update_scale.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/reciprocal.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

namespace pare {
namespace {

constexpr double first_scale = 65536;
constexpr double growth_factor = 2;
constexpr double backoff_factor = 0.5;
constexpr int64_t growth_interval = 2000;

}  // namespace

StepGuard::StepGuard(const Parameters& parameters, LossScaling scaling)
    : leaves_(parameters.leaves()), scaling_(scaling == LossScaling::dynamic) {
  const c10::AutoGradMode no_grad(false);
  for (const Parameter& parameter : parameters.all())
    if (parameter.role == Role::statistics) {
      statistics_.push_back(parameter.tensor);
      kept_.push_back(parameter.tensor.clone());
    }
  const at::Device device = leaves_.empty() ? at::Device(at::kCPU) : leaves_.front().device();
  const auto options = at::TensorOptions().dtype(at::kFloat).device(device);
  found_inf_ = at::zeros({}, options);
  scale_ = at::full({}, scaling_ ? first_scale : 1.0, options);
  growth_ = at::zeros({}, options.dtype(at::kInt));
  skipped_ = at::zeros({}, options);
  in_a_row_ = at::zeros({}, options);
}

std::vector<at::Tensor> StepGuard::gradients() const {
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& leaf : leaves_)
    if (leaf.grad().defined()) gradients.push_back(leaf.grad());
  return gradients;
}

void StepGuard::begin() {
  const c10::AutoGradMode no_grad(false);
  if (!statistics_.empty()) at::_foreach_copy_(kept_, statistics_);
}

at::Tensor StepGuard::scaled(const at::Tensor& loss) const { return scaling_ ? loss * scale_ : loss; }

void StepGuard::check(const at::Tensor& loss) {
  const c10::AutoGradMode no_grad(false);
  found_inf_.zero_();
  // A copy of the loss is looked at like the gradients; that it is divided by the scale does not matter.
  std::vector<at::Tensor> looked_at = gradients();
  looked_at.push_back(loss.detach().to(at::kFloat).clone());
  at::_amp_foreach_non_finite_check_and_unscale_(looked_at, found_inf_, scale_.reciprocal());
}

void StepGuard::clip(double limit) const {
  const c10::AutoGradMode no_grad(false);
  const std::vector<at::Tensor> all = gradients();
  if (all.empty()) return;
  const at::Tensor norm = at::linalg_vector_norm(at::stack(at::_foreach_norm(all)));
  at::_foreach_mul_(all, (limit / (norm + 1e-6)).clamp_max(1.0));
}

void StepGuard::end() {
  const c10::AutoGradMode no_grad(false);
  if (found_inf_.is_cpu()) {
    if (found_inf_.item<float>() != 0 && !statistics_.empty()) at::_foreach_copy_(statistics_, kept_);
  } else {
    const at::Tensor skip = found_inf_ != 0;
    for (size_t i = 0; i < statistics_.size(); ++i) statistics_[i].copy_(at::where(skip, kept_[i], statistics_[i]));
  }
  skipped_ += found_inf_;
  // An overflow that a smaller scale cures says nothing about the training.
  in_a_row_ = (in_a_row_ + found_inf_ * (scale_ <= 1)) * found_inf_;
  if (scaling_) at::_amp_update_scale_(scale_, growth_, found_inf_, growth_factor, backoff_factor, growth_interval);
}

int64_t StepGuard::skipped() const { return static_cast<int64_t>(skipped_.item<float>()); }

int64_t StepGuard::in_a_row() const { return static_cast<int64_t>(in_a_row_.item<float>()); }

double StepGuard::scale() const { return scale_.item<float>(); }

std::map<std::string, at::Tensor> StepGuard::state() const {
  std::map<std::string, at::Tensor> tensors{{"guard/skipped", skipped_}, {"guard/in_a_row", in_a_row_}};
  if (scaling_) {
    tensors.emplace("guard/scale", scale_);
    tensors.emplace("guard/growth", growth_);
  }
  return tensors;
}

}  // namespace pare
