// The loss of a batch: the student's outputs and features against labels, targets and the teacher.
#pragma once

#include <limits>

#include "src/train/feature_loss.hpp"
#include "src/train/fit.hpp"
#include "src/train/loss_plan.hpp"
#include "src/train/teacher.hpp"

namespace pare {

// A value in the middle of the student that shall be like one of the teacher.
struct FeaturePair {
  const FeatureLoss* loss = nullptr;
  at::Tensor adapter;  // leaf; undefined where none is needed
};

struct ObjectiveConfig {
  std::vector<LossTerm> terms;
  std::vector<int> targets;  // of LossPlan
  // Outputs of the student that the teacher gives, in the order in which it does.
  std::vector<size_t> taught;
  // The student's outputs behind those of the graph, and the teacher's behind `taught`.
  std::vector<FeaturePair> features;
  double feature_weight = 1;  // of the mean over the pairs
  double label_smoothing = 0;
  double temperature = 2;
  // Steps whose gradients are scored although the student may equal the teacher, where all gradients are zero: labels
  // and targets sampled from the teacher have this share of the loss. 0: never.
  double sampled_weight = 0;
  std::function<bool(int64_t step)> scored;
  uint64_t seed = 0;
  // Running statistics of batch normalizations are trained in the first so many steps, then used and kept.
  int64_t batch_norm_steps = std::numeric_limits<int64_t>::max();
};

class Objective {
 public:
  // `student` gives its outputs, then its features; `teacher` may be null.
  Objective(Runnable student, Teacher* teacher, ObjectiveConfig config, at::Device device);

  at::Tensor operator()(const Batch& batch, const StepInfo& info) const;

 private:
  struct Outputs;

  at::Tensor term_loss(const LossTerm& term, const Outputs& outputs) const;
  at::Tensor feature_loss(const Outputs& outputs, size_t first_student, size_t first_teacher) const;
  at::Tensor sampled_loss(const Batch& batch, const StepInfo& info, const Outputs& outputs) const;

  Runnable student_;
  Teacher* teacher_;
  ObjectiveConfig config_;
  at::Device device_;
};

}  // namespace pare
