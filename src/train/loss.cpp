#include "src/train/loss.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/binary_cross_entropy_with_logits.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/kl_div.h>
#include <ATen/ops/l1_loss.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/one_hot.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/where.h>

namespace pare {
namespace {

// Sum over the batch of KL(teacher || student) of log-probabilities.
at::Tensor divergence(const at::Tensor& student_log, const at::Tensor& teacher_log) {
  return at::kl_div(student_log, teacher_log, at::Reduction::Sum, true);
}

at::Tensor on_device_of(const at::Tensor& place, const at::Tensor& host) { return host.to(place.device()); }

double rows_of(const at::Tensor& logits) {
  return static_cast<double>(logits.numel()) / static_cast<double>(logits.size(-1));
}

// A share of the teacher's standard deviation: enough to give every weight a gradient, little enough not to lead away.
constexpr double target_noise = 0.1;

}  // namespace

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels, double label_smoothing) {
  return at::cross_entropy_loss(logits.to(at::kFloat), labels, {}, at::Reduction::Mean, -100, label_smoothing);
}

at::Tensor mixed_cross_entropy(const at::Tensor& logits, const at::Tensor& labels, const at::Tensor& shares,
                               double label_smoothing) {
  const at::Tensor scores = logits.to(at::kFloat);
  const auto losses = [&](const at::Tensor& classes) {
    return at::cross_entropy_loss(scores, classes, {}, at::Reduction::None, -100, label_smoothing);
  };
  return (losses(labels) * shares + losses(labels.flip(0)) * (1 - shares)).mean();
}

at::Tensor distillation(const at::Tensor& student, const at::Tensor& teacher, double temperature) {
  const at::Tensor student_log = at::log_softmax(student.to(at::kFloat) / temperature, -1);
  const at::Tensor teacher_log = at::log_softmax(teacher.to(at::kFloat) / temperature, -1);
  return divergence(student_log, teacher_log) * (temperature * temperature / rows_of(student));
}

at::Tensor decoupled_distillation(const at::Tensor& student, const at::Tensor& teacher, const at::Tensor& labels,
                                  double temperature) {
  constexpr double target_weight = 1;
  constexpr double others_weight = 8;
  constexpr double out_of_reach = 1000;  // e^-1000 is 0: the class takes no part
  const at::Tensor target = at::one_hot(labels.defined() ? labels : at::argmax(teacher, -1), teacher.size(-1));
  const at::Tensor chosen = target.to(at::kBool);
  struct Parts {
    at::Tensor target, rest, others;  // log-probabilities: of the target, of all others together, of each other
  };
  const auto parts_of = [&](const at::Tensor& logits) {
    const at::Tensor scaled = logits.to(at::kFloat) / temperature;
    const at::Tensor log_probabilities = at::log_softmax(scaled, -1);
    const at::Tensor excluded = target.to(at::kFloat) * out_of_reach;
    return Parts{at::where(chosen, log_probabilities, 0.0).sum(-1), (log_probabilities - excluded).logsumexp({-1}),
                 at::log_softmax(scaled - excluded, -1)};
  };
  const Parts s = parts_of(student), t = parts_of(teacher);
  const at::Tensor about_target = divergence(s.target, t.target) + divergence(s.rest, t.rest);
  const at::Tensor among_others = divergence(s.others, t.others);
  return (about_target * target_weight + among_others * others_weight) * (temperature * temperature / rows_of(student));
}

at::Tensor squared_error(const at::Tensor& output, const at::Tensor& target) {
  return at::mse_loss(output.to(at::kFloat), target.to(at::kFloat));
}

at::Tensor absolute_error(const at::Tensor& output, const at::Tensor& target) {
  return at::l1_loss(output.to(at::kFloat), target.to(at::kFloat));
}

at::Tensor logit_cross_entropy(const at::Tensor& logits, const at::Tensor& probabilities) {
  return at::binary_cross_entropy_with_logits(logits.to(at::kFloat), probabilities.to(at::kFloat));
}

at::Tensor relative_error(const at::Tensor& student, const at::Tensor& teacher) {
  constexpr double least_variance = 1e-12;
  const at::Tensor t = teacher.to(at::kFloat);
  return at::mse_loss(student.to(at::kFloat), t) / ((t - t.mean()).pow(2).mean() + least_variance);
}

at::Tensor sampled_labels(const at::Tensor& teacher, const SampleDraw& draw) {
  const auto samples = static_cast<int64_t>(draw.indices.size());
  at::Tensor uniform = at::empty({samples, 1}, at::kFloat);
  auto* values = uniform.mutable_data_ptr<float>();
  for (size_t i = 0; i < draw.indices.size(); ++i)
    values[i] = random_uniform(draw.key, static_cast<uint64_t>(draw.indices[i]), static_cast<uint32_t>(draw.epoch));
  // The first class whose cumulated probability is above the number; rounding must not lead behind the last one.
  const at::Tensor cumulated = at::softmax(teacher.to(at::kFloat), -1).cumsum(-1);
  return (cumulated <= on_device_of(teacher, uniform)).sum(-1).clamp_max(teacher.size(-1) - 1);
}

at::Tensor sampled_targets(const at::Tensor& teacher, const SampleDraw& draw) {
  const auto samples = static_cast<int64_t>(draw.indices.size());
  const int64_t elements = samples == 0 ? 0 : teacher.numel() / samples;
  at::Tensor signs = at::empty({samples, elements}, at::kFloat);
  auto* value = signs.mutable_data_ptr<float>();
  for (const int64_t index : draw.indices) {
    // Each 128 signs have a stream of their own.
    RandomKey key = draw.key;
    RandomBlock block{};
    for (int64_t i = 0; i < elements; ++i) {
      if (i % 128 == 0) {
        block = random_block(key, static_cast<uint64_t>(index), static_cast<uint32_t>(draw.epoch));
        key.stream += 0x9E3779B9u;
      }
      *value++ = (block[static_cast<size_t>(i / 32 % 4)] >> (i % 32) & 1u) != 0 ? 1.0f : -1.0f;
    }
  }
  const at::Tensor t = teacher.to(at::kFloat);
  const at::Tensor deviation = (t - t.mean()).pow(2).mean().sqrt();
  return t + on_device_of(t, signs).view(t.sizes()) * (deviation * target_noise);
}

}  // namespace pare
