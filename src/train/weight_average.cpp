#include "src/train/weight_average.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_sub.h>
#include <ATen/ops/rsub.h>
#include <ATen/ops/zeros.h>

namespace pare {

WeightAverage::WeightAverage(const Parameters& parameters, double decay) : decay_(decay) {
  const c10::AutoGradMode no_grad(false);
  for (const Parameter& parameter : parameters.all()) {
    names_.push_back(parameter.name);
    weights_.push_back(parameter.tensor.detach());
    averages_.push_back(parameter.tensor.detach().clone());
  }
  const auto device = weights_.empty() ? at::Device(at::kCPU) : weights_.front().device();
  updates_ = at::zeros({}, at::TensorOptions().dtype(at::kFloat).device(device));
}

void WeightAverage::update(const at::Tensor& found_inf) {
  if (weights_.empty()) return;
  const c10::AutoGradMode no_grad(false);
  const at::Tensor decay = ((updates_ + 1) / (updates_ + 10)).clamp_max(decay_);
  const at::Tensor taken = at::rsub(found_inf, 1.0);
  std::vector<at::Tensor> change = at::_foreach_sub(weights_, averages_);
  at::_foreach_mul_(change, at::rsub(decay, 1.0) * taken);
  at::_foreach_add_(averages_, change);
  updates_ += taken;
}

void WeightAverage::swap() {
  const c10::AutoGradMode no_grad(false);
  for (size_t i = 0; i < weights_.size(); ++i) {
    const at::Tensor weight = weights_[i].clone();
    weights_[i].copy_(averages_[i]);
    averages_[i].copy_(weight);
  }
}

std::map<std::string, at::Tensor> WeightAverage::state() const {
  std::map<std::string, at::Tensor> tensors{{"average/updates", updates_}};
  for (size_t i = 0; i < names_.size(); ++i) tensors.emplace("average/of/" + names_[i], averages_[i]);
  return tensors;
}

}  // namespace pare
