#include <cmath>

#include <ATen/ops/tensor.h>
#include <doctest/doctest.h>

#include "src/train/loss.hpp"

namespace {

at::Tensor row(std::initializer_list<float> values) { return at::tensor(std::vector<float>(values)).unsqueeze(0); }

}  // namespace

TEST_CASE("loss: cross-entropy of known logits") {
  const at::Tensor labels = at::tensor(std::vector<int64_t>{1});
  const double expected = std::log(std::exp(1.0) + std::exp(3.0)) - 3.0;
  CHECK(pare::cross_entropy(row({1, 3}), labels, 0).item<double>() == doctest::Approx(expected).epsilon(1e-6));
}

TEST_CASE("loss: distillation is zero for equal logits and T^2 KL otherwise") {
  CHECK(pare::distillation(row({1, 2, 3}), row({1, 2, 3}), 4).item<double>() == doctest::Approx(0).epsilon(1e-6));
  const double p = 1 / (1 + std::exp(-1.0));  // the teacher's share of the first class at T = 2
  const double kl = p * std::log(p / 0.5) + (1 - p) * std::log((1 - p) / 0.5);
  CHECK(pare::distillation(row({0, 0}), row({2, 0}), 2).item<double>() == doctest::Approx(4 * kl).epsilon(1e-5));
}

TEST_CASE("loss: without a teacher the labels have full weight") {
  const at::Tensor labels = at::tensor(std::vector<int64_t>{0});
  const pare::LossConfig config{0.1, 0.7, 2};
  CHECK(pare::training_loss(row({1, 2}), labels, {}, config).item<double>() ==
        pare::cross_entropy(row({1, 2}), labels, 0.1).item<double>());
}
