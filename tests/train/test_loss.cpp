#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/log.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
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

TEST_CASE("loss: cross-entropy of mixed samples is that to the mixed labels") {
  const at::Tensor logits = at::tensor(std::vector<float>{1, 3, 0, 2, -1, 1, 0, 0, 2}).view({3, 3});
  const at::Tensor labels = at::tensor(std::vector<int64_t>{0, 2, 1});
  const at::Tensor shares = at::tensor(std::vector<float>{0.7f, 0.1f, 1});
  // Row i: shares[i] of its label, the rest of the label of row 2 - i; the middle row is mixed with itself.
  const at::Tensor soft = at::tensor(std::vector<float>{0.7f, 0.3f, 0, 0, 0, 1, 0, 1, 0}).view({3, 3});
  const double expected = -(soft * at::log_softmax(logits, 1)).sum(1).mean().item<double>();
  CHECK(pare::mixed_cross_entropy(logits, labels, shares, 0).item<double>() == doctest::Approx(expected).epsilon(1e-6));
}

TEST_CASE("loss: distillation is zero for equal logits and T^2 KL otherwise") {
  CHECK(pare::distillation(row({1, 2, 3}), row({1, 2, 3}), 4).item<double>() == doctest::Approx(0).epsilon(1e-6));
  const double p = 1 / (1 + std::exp(-1.0));  // the teacher's share of the first class at T = 2
  const double kl = p * std::log(p / 0.5) + (1 - p) * std::log((1 - p) / 0.5);
  CHECK(pare::distillation(row({0, 0}), row({2, 0}), 2).item<double>() == doctest::Approx(4 * kl).epsilon(1e-5));
}

TEST_CASE("loss: decoupled distillation is the sum of its two parts, and zero for equal logits") {
  const at::Tensor student = row({0.3f, -0.2f, 1.1f}), teacher = row({2, 0.5f, -1});
  const at::Tensor labels = at::tensor(std::vector<int64_t>{1});
  CHECK(pare::decoupled_distillation(teacher, teacher, labels, 3).item<double>() == doctest::Approx(0).epsilon(1e-6));
  const double T = 2;
  const auto shares = [&](std::vector<double> logits) {
    double sum = 0;
    for (double& value : logits) sum += value = std::exp(value / T);
    for (double& value : logits) value /= sum;
    return logits;
  };
  const auto s = shares({0.3, -0.2, 1.1}), t = shares({2, 0.5, -1});
  const auto so = shares({0.3, 1.1}), to = shares({2, -1});
  const double target = t[1] * std::log(t[1] / s[1]) + (1 - t[1]) * std::log((1 - t[1]) / (1 - s[1]));
  const double others = to[0] * std::log(to[0] / so[0]) + to[1] * std::log(to[1] / so[1]);
  CHECK(pare::decoupled_distillation(student, teacher, labels, T).item<double>() ==
        doctest::Approx(T * T * (target + 8 * others)).epsilon(1e-4));
  // Without labels the teacher's class is the target.
  CHECK(pare::decoupled_distillation(student, teacher, {}, T).item<double>() ==
        pare::decoupled_distillation(student, teacher, at::tensor(std::vector<int64_t>{0}), T).item<double>());
}

TEST_CASE("loss: relative error is 1 for a constant student and free of scale") {
  const at::Tensor teacher = row({1, 2, 3, 6});
  CHECK(pare::relative_error(at::full_like(teacher, 3), teacher).item<double>() == doctest::Approx(1));
  const at::Tensor student = row({1, 2, 4, 6});
  CHECK(pare::relative_error(student * 100, teacher * 100).item<double>() ==
        doctest::Approx(pare::relative_error(student, teacher).item<double>()).epsilon(1e-5));
}

TEST_CASE("loss: binary cross-entropy of known logits") {
  const double expected = -0.5 * std::log(1 / (1 + std::exp(-2.0))) - 0.5 * std::log(1 - 1 / (1 + std::exp(-2.0)));
  CHECK(pare::logit_cross_entropy(row({2}), row({0.5f})).item<double>() == doctest::Approx(expected).epsilon(1e-6));
}

TEST_CASE("loss: sampled labels follow the teacher's softmax, and belong to sample and epoch, not to the batch") {
  std::vector<int64_t> indices(20000);
  for (size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<int64_t>(i);
  const at::Tensor teacher = at::log(row({0.2f, 0.5f, 0.3f})).expand({20000, 3});
  const at::Tensor labels = pare::sampled_labels(teacher, {{7, 1}, 3, indices});
  const double shares[] = {0.2, 0.5, 0.3};
  for (int64_t k = 0; k < 3; ++k)
    CHECK(static_cast<double>((labels == k).sum().item<int64_t>()) / 20000 == doctest::Approx(shares[k]).epsilon(0.05));
  const std::vector<int64_t> few{11, 4};
  const at::Tensor again = pare::sampled_labels(teacher.narrow(0, 0, 2), {{7, 1}, 3, few});
  CHECK(again[0].item<int64_t>() == labels[11].item<int64_t>());
  CHECK(again[1].item<int64_t>() == labels[4].item<int64_t>());
  CHECK_FALSE(pare::sampled_labels(teacher, {{7, 1}, 4, indices}).equal(labels));
}

TEST_CASE("loss: sampled targets differ from the teacher by a tenth of its deviation, each sign as often") {
  const std::vector<int64_t> indices{5, 2};
  at::Tensor teacher = at::zeros({2, 3, 200});
  teacher.select(0, 1).fill_(2);  // standard deviation 1
  const at::Tensor change = pare::sampled_targets(teacher, {{7, 1}, 0, indices}) - teacher;
  CHECK(at::allclose(change.abs(), at::full_like(change, 0.1), 1e-4, 1e-6));
  CHECK(std::abs(change.sum().item<double>()) < 0.1 * 4 * std::sqrt(1200.0));
  const std::vector<int64_t> other{2, 5};
  const at::Tensor swapped = pare::sampled_targets(teacher, {{7, 1}, 0, other}) - teacher;
  CHECK(at::allclose(swapped[0], change[1], 1e-3, 1e-5));
}
