#include "src/train/kept_zeros.hpp"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/ne.h>

namespace pare {

KeptZeros::KeptZeros(const Parameters& parameters, const Optimizer& optimizer, const std::vector<std::string>& names) {
  for (const Parameter& parameter : parameters.all()) {
    if (std::find(names.begin(), names.end(), parameter.name) == names.end()) continue;
    Mask mask{parameter.tensor, at::ne(parameter.tensor.detach(), 0), {}};
    for (const OptimizerState& state : optimizer.states())
      if (state.weight.is_same(mask.weight)) mask.moments = state.moments;
    masks_.push_back(std::move(mask));
  }
}

void KeptZeros::apply() {
  const c10::AutoGradMode no_grad(false);
  for (Mask& mask : masks_) {
    mask.weight.mul_(mask.kept);
    for (at::Tensor& moment : mask.moments) moment.mul_(mask.kept);
  }
}

}  // namespace pare
