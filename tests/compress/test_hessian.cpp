#include <cmath>
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <doctest/doctest.h>

#include "compress/hessian.hpp"
#include "src/core/error.hpp"

using namespace pare;

TEST_CASE("hessian: rows add up over batches, each group for itself, whatever the number of columns") {
  for (const int64_t columns : {7, 256, 600}) {
    const at::Tensor rows = at::randn({2, 30, columns});
    Hessian hessian(2, columns, at::kCPU);
    hessian.add(rows.slice(1, 0, 11));
    hessian.add(rows.slice(1, 11));
    CHECK(hessian.rows() == 30);
    for (const int64_t group : {0, 1})
      CHECK(at::allclose(hessian.matrix(group), at::matmul(rows[group].t(), rows[group]), 1e-5, 1e-4));
  }
}

TEST_CASE("hessian: the factor squared is the inverse of the damped matrix") {
  const at::Tensor rows = at::randn({1, 40, 9});
  Hessian hessian(1, 9, at::kCPU);
  hessian.add(rows);
  const at::Tensor h = hessian.matrix(0);
  const InverseFactor factor = inverse_factor(h, 0.01);
  CHECK(factor.damping == doctest::Approx(0.01 * h.diagonal().mean().item<double>()));
  const at::Tensor damped = h + factor.damping * at::eye(9);
  CHECK(at::allclose(at::matmul(at::matmul(factor.upper.t(), factor.upper), damped), at::eye(9), 1e-4, 1e-4));
  CHECK(factor.upper.equal(factor.upper.triu()));
  CHECK_FALSE(factor.dead.any().item<bool>());
}

TEST_CASE("hessian: dead columns are found, rank deficiency is damped, NaN is named") {
  at::Tensor rows = at::randn({1, 3, 8});  // rank 3
  rows.select(2, 5).zero_();
  Hessian hessian(1, 8, at::kCPU);
  hessian.add(rows);
  const InverseFactor factor = inverse_factor(hessian.matrix(0));
  CHECK(factor.dead.sum().item<int>() == 1);
  CHECK(factor.dead[5].item<bool>());
  CHECK(std::isfinite(factor.upper.sum().item<double>()));
  rows[0][0][0] = std::numeric_limits<float>::quiet_NaN();
  hessian.add(rows);
  CHECK_THROWS_WITH_AS(inverse_factor(hessian.matrix(0)), doctest::Contains("NaN"), Error);
}

TEST_CASE("hessian: inputs that are all zero leave a factor to work with") {
  Hessian hessian(1, 4, at::kCPU);
  hessian.add(at::randn({1, 6, 4}).mul_(0));
  const InverseFactor factor = inverse_factor(hessian.matrix(0));
  CHECK(factor.dead.all().item<bool>());
  CHECK(std::isfinite(factor.upper.sum().item<double>()));
}
