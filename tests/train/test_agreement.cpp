#include <cmath>
#include <limits>

#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <doctest/doctest.h>

#include "src/core/error.hpp"
#include "src/train/agreement.hpp"

using namespace pare;

TEST_CASE("agreement: cosine, SNR, mean squared error and arg-max by hand") {
  const at::Tensor reference = at::tensor({3.0f, 4.0f, 0.0f, 0.0f}).reshape({2, 2});
  const at::Tensor outputs = at::tensor({3.0f, 3.0f, 0.0f, 1.0f}).reshape({2, 2});
  const Agreement agreement = agreement_of(outputs, reference);
  CHECK(agreement.cosine == doctest::Approx(21.0 / (5.0 * std::sqrt(19.0))));
  CHECK(agreement.snr_db == doctest::Approx(10 * std::log10(25.0 / 2.0)));
  CHECK(agreement.mse == 0.5);
  CHECK(agreement.arg_max == 0.0);
}

TEST_CASE("agreement: equal outputs are as near as can be, zeros too") {
  for (const at::Tensor& same : {at::tensor({1.0f, -2.0f}), at::tensor({0.0f, 0.0f})}) {
    const Agreement agreement = agreement_of(same, same);
    CHECK(agreement.cosine == 1.0);
    CHECK(agreement.snr_db == highest_snr_db);
    CHECK(agreement.arg_max == 1.0);
  }
  CHECK(agreement_of(at::tensor({1.0f, 2.0f}), at::tensor({0.0f, 0.0f})).snr_db == -highest_snr_db);
}

TEST_CASE("agreement: values that are not finite are counted, and nothing is near them") {
  const at::Tensor broken = at::tensor({1.0f, NAN, INFINITY});
  CHECK(count_nonfinite(broken) == 2);
  CHECK(count_nonfinite(at::tensor({int64_t{1}, int64_t{2}})) == 0);
  CHECK(std::isnan(agreement_of(broken, at::tensor({1.0f, 2.0f, 3.0f})).cosine));
  CHECK_THROWS_AS(agreement_of(broken, at::tensor({1.0f})), Error);
  const PowerSums sums = power_sums({broken}, {at::tensor({1.0f, 2.0f, 3.0f})});
  CHECK(std::isnan(sums.cosine()));
  CHECK(std::isnan(sums.snr_db()));
}

TEST_CASE("agreement: sums over blocks and over batches are those of the whole") {
  const at::Tensor reference = at::randn({3, 200'000}), outputs = reference.add(at::randn({3, 200'000}).mul(0.1));
  const at::Tensor a = outputs.to(at::kDouble), b = reference.to(at::kDouble);
  const double error = a.sub(b).square().sum().item<double>();
  PowerSums batches;
  for (int64_t i = 0; i < 3; ++i) batches.add(outputs[i], reference[i]);
  const at::Tensor numbers = at::tensor({int64_t{1}, int64_t{2}});
  for (const PowerSums& sums : {power_sums({outputs, numbers}, {reference, numbers}), batches}) {
    CHECK(sums.elements == 600'000);
    CHECK(sums.own == doctest::Approx(a.square().sum().item<double>()).epsilon(1e-12));
    CHECK(sums.reference == doctest::Approx(b.square().sum().item<double>()).epsilon(1e-12));
    CHECK(sums.product == doctest::Approx(a.mul(b).sum().item<double>()).epsilon(1e-12));
    CHECK(sums.error == doctest::Approx(error).epsilon(1e-12));
    CHECK(sums.relative_error() == doctest::Approx(error / b.square().sum().item<double>()));
  }
}
