#include "compress/hessian.hpp"

#include <ATen/ops/cholesky_inverse.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/zeros.h>

#include "src/core/error.hpp"

namespace pare {
namespace {

// Ten times each: from a hundredth of the mean diagonal to a thousand times it.
constexpr int damping_attempts = 6;

}  // namespace

Hessian::Hessian(int64_t groups, int64_t columns, at::Device device)
    : sum_(at::zeros({groups, columns, columns}, at::TensorOptions(device).dtype(at::kFloat))) {}

void Hessian::add(const at::Tensor& rows) {
  sum_.baddbmm_(rows.transpose(1, 2), rows);
  rows_ += rows.size(1);
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
