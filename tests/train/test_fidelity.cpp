#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <doctest/doctest.h>

#include "src/train/fidelity.hpp"

using namespace pare;

TEST_CASE("fidelity: cosine, signal to noise and agreement of known outputs") {
  const at::Tensor reference = at::tensor(std::vector<float>{3, 4, 0, 1}).view({2, 2});
  const at::Tensor output = at::tensor(std::vector<float>{3, 4, 1, 0}).view({2, 2});
  const auto found = compare_outputs({output}, {reference});
  REQUIRE(found);
  CHECK(found->cosine == doctest::Approx(25.0 / 26));
  CHECK(found->snr_db == doctest::Approx(10 * std::log10(26.0 / 2)));
  CHECK(*found->agreement == 0.5);
  CHECK(compare_outputs({reference}, {reference})->cosine == doctest::Approx(1));
  CHECK(compare_outputs({reference}, {reference})->snr_db == 300);
}

TEST_CASE("fidelity: outputs that cannot be compared do not count") {
  const at::Tensor a = at::tensor(std::vector<float>{1, 2}), b = at::tensor(std::vector<float>{1, 2, 3});
  CHECK_FALSE(compare_outputs({a}, {b}));
  CHECK_FALSE(compare_outputs({a.to(at::kLong)}, {a.to(at::kLong)}));
  CHECK(compare_outputs({a, a}, {b, a})->cosine == doctest::Approx(1));
}
