#include "src/train/feature_loss.hpp"

#include <algorithm>
#include <array>

#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/huber_loss.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/sqrt.h>
#include <fmt/ranges.h>

#include "src/core/error.hpp"
#include "src/core/suggest.hpp"
#include "src/train/loss.hpp"

namespace pare {
namespace {

constexpr double tiny = 1e-12;

// Last dimension as unit vectors; a zero vector stays zero.
at::Tensor unit(const at::Tensor& vectors) { return vectors / at::sqrt(vectors.pow(2).sum({-1}, true) + tiny); }

at::Tensor rows(const at::Tensor& features) { return features.to(at::kFloat).reshape({features.size(0), -1}); }

at::Tensor attention_map(const at::Tensor& features) {
  const at::Tensor squares = features.to(at::kFloat).pow(2);
  if (squares.dim() == 4) return unit(squares.sum(1).flatten(1));
  if (squares.dim() == 3) return unit(squares.sum(-1));
  fail_input("--feature-loss attention: features have no places (got {} dimensions, expected [N,C,H,W] or [N,T,D])",
             squares.dim());
}

at::Tensor similarities(const at::Tensor& features) {
  const at::Tensor flat = rows(features);
  return unit(at::matmul(flat, flat.t()));
}

// Euclidean distances of all pairs over their mean.
at::Tensor distances(const at::Tensor& flat) {
  const at::Tensor squares = flat.pow(2).sum({-1}, true);
  const at::Tensor all = at::sqrt((squares + squares.t() - at::matmul(flat, flat.t()) * 2).clamp_min(0) + tiny);
  return all / (all.mean() + tiny);
}

// The cosine of the angle at b between a and c, for all triples [b, a, c].
at::Tensor angles(const at::Tensor& flat) {
  const at::Tensor directions = unit(flat.unsqueeze(0) - flat.unsqueeze(1));
  return at::bmm(directions, directions.transpose(1, 2));
}

constexpr std::array<FeatureLoss, 4> losses{{
    {"fitnet", "squared error, through a 1x1 adapter where the channels differ (FitNets)", fitnet_loss, true},
    {"attention", "where the squares of the channels are large (attention transfer)", attention_loss, false},
    {"similarity", "which samples of a batch are alike", similarity_loss, false},
    {"relational", "distances and angles between the samples of a batch", relational_loss, false},
}};

}  // namespace

std::span<const FeatureLoss> feature_losses() { return losses; }

const FeatureLoss& find_feature_loss(std::string_view name) {
  std::vector<std::string> names;
  for (const FeatureLoss& loss : losses) {
    if (loss.name == name) return loss;
    names.emplace_back(loss.name);
  }
  fail_usage("--feature-loss: unknown (got '{}', expected one of: {}){}", name, fmt::join(names, ", "),
             did_you_mean(name, names));
}

at::Tensor fitnet_loss(const at::Tensor& student, const at::Tensor& teacher) {
  return relative_error(student, teacher);
}

at::Tensor attention_loss(const at::Tensor& student, const at::Tensor& teacher) {
  const at::Tensor s = attention_map(student), t = attention_map(teacher);
  if (s.sizes() != t.sizes())
    fail_input("--feature-loss attention: maps differ in size (got {} places in the student, {} in the teacher)",
               s.size(-1), t.size(-1));
  return at::mse_loss(s, t);
}

at::Tensor similarity_loss(const at::Tensor& student, const at::Tensor& teacher) {
  return at::mse_loss(similarities(student), similarities(teacher));
}

at::Tensor relational_loss(const at::Tensor& student, const at::Tensor& teacher) {
  const at::Tensor s = rows(student), t = rows(teacher);
  return at::huber_loss(distances(s), distances(t)) + at::huber_loss(angles(s), angles(t)) * 2;
}

Shape adapter_shape(const Shape& student, const Shape& teacher) {
  if (student == teacher) return {};
  const size_t channel = student.size() == 3 ? 0 : student.size() - 1;
  Shape same = student;
  if (student.empty() || student.size() != teacher.size()) same.clear();
  else same[channel] = teacher[channel];
  if (same != teacher)
    fail_input(
        "--features: a 1x1 adapter cannot make features {} of features {}; pair others, or give another "
        "--feature-loss",
        shape_text(teacher), shape_text(student));
  if (student.size() == 3) return {teacher[channel], student[channel], 1, 1};
  return {teacher[channel], student[channel]};
}

at::Tensor adapted(const at::Tensor& features, const at::Tensor& adapter) {
  if (!adapter.defined()) return features;
  return adapter.dim() == 4 ? at::conv2d(features, adapter) : at::linear(features, adapter);
}

}  // namespace pare
