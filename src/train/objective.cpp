#include "src/train/objective.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/sigmoid.h>

#include "src/core/error.hpp"
#include "src/train/loss.hpp"
#include "src/train/metrics.hpp"

namespace pare {
namespace {

// Without the copies that fill a batch up to the size that the model wants.
void cut_rows(std::vector<at::Tensor>& outputs, const Batch& batch) {
  if (batch.rows == batch.size) return;
  for (at::Tensor& output : outputs)
    if (output.dim() > 0 && output.size(0) == batch.rows) output = output.narrow(0, 0, batch.size);
}

at::Tensor plus(const at::Tensor& sum, const at::Tensor& more) { return sum.defined() ? sum + more : more; }

}  // namespace

struct Objective::Outputs {
  std::vector<at::Tensor> student;
  std::vector<at::Tensor> teacher;
  std::vector<at::Tensor> taught;  // by output of the student; undefined where the teacher gives none
  std::vector<at::Tensor> targets;
  at::Tensor labels;
  at::Tensor shares;  // of mixup; undefined without
};

Objective::Objective(Runnable student, Teacher* teacher, ObjectiveConfig config, at::Device device)
    : student_(student), teacher_(teacher), config_(std::move(config)), device_(device) {}

at::Tensor Objective::term_loss(const LossTerm& term, const Outputs& outputs) const {
  const at::Tensor& output = outputs.student[term.output];
  const at::Tensor& taught = outputs.taught[term.output];
  const int target_index = config_.targets.empty() ? -1 : config_.targets[term.output];
  at::Tensor target = target_index >= 0 ? outputs.targets[static_cast<size_t>(target_index)] : taught;
  if (term.kind == LossKind::bce && target_index < 0) target = at::sigmoid(taught.to(at::kFloat));
  const at::Tensor& compared = term.kind == LossKind::ce ? output : target_index >= 0 ? target : taught;
  if (term.kind != LossKind::ce && compared.sizes() != output.sizes())
    fail_input("training: output {} has another shape than what it is compared with (got {}, expected {})", term.output,
               shape_text(output.sizes().vec()), shape_text(compared.sizes().vec()));
  switch (term.kind) {
    case LossKind::ce:
      return outputs.shares.defined()
                 ? mixed_cross_entropy(output, outputs.labels, outputs.shares, config_.label_smoothing)
                 : cross_entropy(output, outputs.labels, config_.label_smoothing);
    case LossKind::mse:
      return squared_error(output, target);
    case LossKind::l1:
      return absolute_error(output, target);
    case LossKind::bce:
      return logit_cross_entropy(output, target);
    case LossKind::kl:
      return distillation(output, taught, config_.temperature);
    case LossKind::dkd:
      // A mixture has no single class of its own: the teacher's largest stands for it.
      return decoupled_distillation(output, taught, outputs.shares.defined() ? at::Tensor() : outputs.labels,
                                    config_.temperature);
    case LossKind::relative:
      return relative_error(output, taught);
  }
  return {};
}

at::Tensor Objective::feature_loss(const Outputs& outputs, size_t first_student, size_t first_teacher) const {
  at::Tensor sum;
  for (size_t i = 0; i < config_.features.size(); ++i) {
    const FeaturePair& pair = config_.features[i];
    const at::Tensor student = adapted(outputs.student[first_student + i], pair.adapter);
    sum = plus(sum, pair.loss->of(student, outputs.teacher[first_teacher + i]));
  }
  return sum * (config_.feature_weight / static_cast<double>(config_.features.size()));
}

at::Tensor Objective::sampled_loss(const Batch& batch, const StepInfo& info, const Outputs& outputs) const {
  const SampleDraw draw{{config_.seed, random_stream("sampled targets")}, info.epoch, batch.indices};
  at::Tensor sum;
  for (const LossTerm& term : config_.terms) {
    const at::Tensor& output = outputs.student[term.output];
    const at::Tensor& taught = outputs.taught[term.output];
    if (!taught.defined()) continue;
    const at::Tensor loss = term.kind == LossKind::kl || term.kind == LossKind::dkd
                                ? cross_entropy(output, sampled_labels(taught, draw), 0)
                                : relative_error(output, sampled_targets(taught, draw));
    sum = plus(sum, loss * term.weight);
  }
  return sum;
}

at::Tensor Objective::operator()(const Batch& batch, const StepInfo& info) const {
  const std::vector<at::Tensor> inputs = inputs_of(batch, device_);
  Outputs outputs;
  if (teacher_ != nullptr) {
    outputs.teacher = teacher_->outputs(batch, inputs, info.epoch);
    cut_rows(outputs.teacher, batch);
  }
  outputs.student = student_.executor->run(*student_.parameters, inputs, info.step < config_.batch_norm_steps);
  cut_rows(outputs.student, batch);
  outputs.taught.resize(outputs.student.size());
  for (size_t i = 0; i < config_.taught.size(); ++i) outputs.taught[config_.taught[i]] = outputs.teacher[i];
  outputs.targets = targets_of(batch, device_);
  outputs.labels = labels_of(batch, device_);
  outputs.shares = shares_of(batch, device_);
  at::Tensor loss;
  for (const LossTerm& term : config_.terms) loss = plus(loss, term_loss(term, outputs) * term.weight);
  if (!config_.features.empty())
    loss = loss + feature_loss(outputs, outputs.student.size() - config_.features.size(), config_.taught.size());
  if (config_.sampled_weight <= 0 || !config_.scored || !config_.scored(info.step)) return loss;
  const at::Tensor sampled = sampled_loss(batch, info, outputs);
  if (!sampled.defined()) return loss;
  return loss * (1 - config_.sampled_weight) + sampled * config_.sampled_weight;
}

}  // namespace pare
