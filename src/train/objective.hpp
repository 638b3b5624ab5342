// The loss of a batch: the student's outputs against the teacher's and the labels.
#pragma once

#include "src/exec/executor.hpp"
#include "src/train/fit.hpp"
#include "src/train/loss.hpp"

namespace pare {

// Models that run forward together with their parameters; they must outlive what holds this.
struct Runnable {
  const Executor* executor = nullptr;  // null: there is none
  const Parameters* parameters = nullptr;
};

class Objective {
 public:
  // `train_batch_norm` false: running statistics are used and kept.
  Objective(Runnable student, Runnable teacher, LossConfig config, at::Device device, bool train_batch_norm);

  at::Tensor operator()(const Batch& batch, const StepInfo& info) const;

 private:
  Runnable student_;
  Runnable teacher_;
  LossConfig config_;
  at::Device device_;
  bool train_batch_norm_;
};

}  // namespace pare
