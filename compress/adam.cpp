#include "compress/adam.hpp"

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros_like.h>

namespace pare {

Adam::Adam(at::Tensor leaf) : leaf_(std::move(leaf)), first_(at::zeros_like(leaf_)), second_(at::zeros_like(leaf_)) {}

void Adam::step(const at::Tensor& gradient, double learning_rate) {
  constexpr double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  ++count_;
  first_.mul_(beta1).add_(gradient, 1 - beta1);
  second_.mul_(beta2).addcmul_(gradient, gradient, 1 - beta2);
  const double unbiased1 = 1 - std::pow(beta1, static_cast<double>(count_));
  const double unbiased2 = 1 - std::pow(beta2, static_cast<double>(count_));
  leaf_.addcdiv_(first_, second_.div(unbiased2).sqrt_().add_(epsilon), -learning_rate / unbiased1);
}

}  // namespace pare
