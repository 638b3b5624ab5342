// What training minimises.
#pragma once

#include "src/exec/aten.hpp"

namespace pare {

struct LossConfig {
  double label_smoothing = 0;  // share of the target spread over all classes (Szegedy et al. 2016)
  double kd_weight = 0.7;      // of the teacher's part; the labels have the rest
  double temperature = 2;      // of the teacher's part
};

// Mean cross-entropy of logits [N, K] against class indices [N].
at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels, double label_smoothing);

// Mean over N of T^2 KL(softmax(teacher/T) || softmax(student/T)) (Hinton, Vinyals, Dean 2015): gradients keep their
// size for any T.
at::Tensor distillation(const at::Tensor& student, const at::Tensor& teacher, double temperature);

// kd_weight * distillation + (1 - kd_weight) * cross_entropy; an undefined teacher or undefined labels give the other
// part full weight.
at::Tensor training_loss(const at::Tensor& logits, const at::Tensor& labels, const at::Tensor& teacher,
                         const LossConfig& config);

}  // namespace pare
