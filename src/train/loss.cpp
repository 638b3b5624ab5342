#include "src/train/loss.hpp"

#include <ATen/ops/add.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/kl_div.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mul.h>

namespace pare {

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels, double label_smoothing) {
  return at::cross_entropy_loss(logits.to(at::kFloat), labels, {}, at::Reduction::Mean, -100, label_smoothing);
}

at::Tensor distillation(const at::Tensor& student, const at::Tensor& teacher, double temperature) {
  const at::Tensor student_log = at::log_softmax(at::mul(student.to(at::kFloat), 1 / temperature), -1);
  const at::Tensor teacher_log = at::log_softmax(at::mul(teacher.to(at::kFloat), 1 / temperature), -1);
  const at::Tensor sum = at::kl_div(student_log, teacher_log, at::Reduction::Sum, true);
  return at::mul(sum, temperature * temperature / static_cast<double>(student.size(0)));
}

at::Tensor training_loss(const at::Tensor& logits, const at::Tensor& labels, const at::Tensor& teacher,
                         const LossConfig& config) {
  if (!teacher.defined()) return cross_entropy(logits, labels, config.label_smoothing);
  const at::Tensor taught = distillation(logits, teacher, config.temperature);
  if (!labels.defined() || config.kd_weight >= 1) return taught;
  const at::Tensor labelled = cross_entropy(logits, labels, config.label_smoothing);
  return at::add(at::mul(taught, config.kd_weight), labelled, 1 - config.kd_weight);
}

}  // namespace pare
