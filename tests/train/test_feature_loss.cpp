#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <doctest/doctest.h>

#include "src/core/error.hpp"
#include "src/train/feature_loss.hpp"

using namespace pare;

namespace {

at::Tensor ramp(std::vector<int64_t> sizes) {
  int64_t count = 1;
  for (const int64_t size : sizes) count *= size;
  return (at::arange(count).to(at::kFloat) * 0.7).sin().view(sizes);
}

double value(const at::Tensor& loss) { return loss.item<double>(); }

}  // namespace

TEST_CASE("feature_loss: every method is zero for equal features and not for others") {
  const at::Tensor a = ramp({4, 3, 2, 2}), b = ramp({4, 3, 4, 1}).view({4, 3, 2, 2}).flip({0, 1});
  for (const FeatureLoss& loss : feature_losses()) {
    CHECK(value(loss.of(a, a)) == doctest::Approx(0));
    CHECK(value(loss.of(b, a)) > 1e-4);
  }
  CHECK_THROWS_AS(find_feature_loss("fitnets"), Error);
}

TEST_CASE("feature_loss: attention sees where, not how strong or in which channels") {
  const at::Tensor a = ramp({2, 3, 4, 4});
  CHECK(value(attention_loss(a * 5, a)) == doctest::Approx(0));
  CHECK(value(attention_loss(a.flip({1}), a)) == doctest::Approx(0));
  CHECK(value(attention_loss(ramp({2, 7, 4, 4}), a)) > 0);
  CHECK_THROWS_AS(attention_loss(ramp({2, 3}), ramp({2, 3})), Error);
  CHECK_THROWS_AS(attention_loss(ramp({2, 3, 2, 2}), a), Error);
}

TEST_CASE("feature_loss: similarity is that of the definition, for features of any width") {
  // Rows (1,0), (0,2): Gram diag(1,4), unit rows: the identity. Rows (1), (1): all ones, unit rows 1/sqrt 2.
  const at::Tensor student = at::tensor(std::vector<float>{1, 1}).view({2, 1});
  const at::Tensor teacher = at::tensor(std::vector<float>{1, 0, 0, 2}).view({2, 2});
  const double diagonal = 1 - 1 / std::sqrt(2.0), off = 1 / std::sqrt(2.0);
  CHECK(value(similarity_loss(student, teacher)) ==
        doctest::Approx((2 * diagonal * diagonal + 2 * off * off) / 4).epsilon(1e-5));
}

TEST_CASE("feature_loss: relational is free of scale, rotation and shift") {
  const at::Tensor teacher = ramp({5, 2});
  const double c = std::cos(0.4), s = std::sin(0.4);
  const at::Tensor turn = at::tensor(std::vector<double>{c, s, -s, c}).view({2, 2}).to(at::kFloat);
  CHECK(value(relational_loss(teacher.matmul(turn) * 3 + 2, teacher)) == doctest::Approx(0).epsilon(1e-5));
  CHECK(value(relational_loss(ramp({5, 7}), teacher)) > 1e-3);
}

TEST_CASE("feature_loss: an adapter changes the channels and nothing else") {
  CHECK(adapter_shape({4, 5, 5}, {4, 5, 5}).empty());
  CHECK(adapter_shape({4, 5, 5}, {6, 5, 5}) == Shape{6, 4, 1, 1});
  CHECK(adapter_shape({7, 4}, {7, 6}) == Shape{6, 4});
  CHECK_THROWS_AS(adapter_shape({4, 5, 5}, {4, 3, 3}), Error);
  CHECK_THROWS_AS(adapter_shape({4, 5, 5}, {4}), Error);
  const at::Tensor features = ramp({2, 4, 3, 3}), adapter = ramp({6, 4, 1, 1});
  const at::Tensor result = adapted(features, adapter);
  CHECK(result.sizes().vec() == std::vector<int64_t>{2, 6, 3, 3});
  const at::Tensor by_hand = adapter.view({6, 4}).matmul(features.flatten(2)).view({2, 6, 3, 3});
  CHECK(at::allclose(result, by_hand, 1e-4, 1e-5));
  CHECK(adapted(features, {}).is_same(features));
}
