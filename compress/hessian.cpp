#include "compress/hessian.hpp"

#include <algorithm>

#include <ATen/ops/cholesky_inverse.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/zeros.h>

#include "src/core/error.hpp"

namespace pare {
namespace {

// Ten times each: from a hundredth of the mean diagonal to a thousand times it.
constexpr int damping_attempts = 6;

// Columns whose products with themselves and all later ones are added at once: small enough to leave out nearly half of
// a large matrix, which is symmetric, large enough for products at full speed.
constexpr int64_t block = 256;

}  // namespace

Hessian::Hessian(int64_t groups, int64_t columns, at::Device device)
    : sum_(at::zeros({groups, columns, columns}, at::TensorOptions(device).dtype(at::kFloat))) {}

void Hessian::add(const at::Tensor& rows) {
  for (int64_t first = 0; first < columns(); first += block) {
    const int64_t last = std::min(first + block, columns());
    sum_.slice(1, first, last)
        .slice(2, first)
        .baddbmm_(rows.slice(2, first, last).transpose(1, 2), rows.slice(2, first));
  }
  rows_ += rows.size(1);
}

at::Tensor Hessian::matrix(int64_t group) const {
  const at::Tensor upper = sum_[group].triu();
  return upper.add(upper.triu(1).t());
}

InverseFactor inverse_factor(const at::Tensor& hessian, double damping) {
  at::Tensor damped = hessian.to(at::kDouble, false, true);
  at::Tensor diagonal = damped.diagonal();
  if (!at::isfinite(diagonal).all().item<bool>()) fail_input("the layer's inputs hold NaN or infinity");
  InverseFactor result;
  result.dead = diagonal.eq(0);
  diagonal.masked_fill_(result.dead, 1);
  const double mean = diagonal.mean().item<double>();
  for (int attempt = 0; attempt < damping_attempts; ++attempt, damping *= 10) {
    diagonal.add_(damping * mean - result.damping);
    result.damping = damping * mean;
    const auto [lower, failed] = at::linalg_cholesky_ex(damped);
    if (failed.item<int>() != 0) continue;
    const auto [upper, failed_inverse] = at::linalg_cholesky_ex(at::cholesky_inverse(lower), true);
    if (failed_inverse.item<int>() != 0) continue;
    result.upper = upper.to(at::kFloat);
    return result;
  }
  fail_run("the Hessian of the layer's inputs is not positive definite, even with damping {:.3g}", result.damping);
}

}  // namespace pare
