#include <cmath>
#include <limits>

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
}
