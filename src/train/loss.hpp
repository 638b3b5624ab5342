// What training minimises: losses of one output against labels, values or a teacher. All compute in fp32 and return
// [] tensors.
#pragma once

#include <cstdint>

#include "src/core/random.hpp"
#include "src/exec/aten.hpp"

namespace pare {

// Mean cross-entropy of logits [N, K] against class indices [N].
at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels, double label_smoothing);

// Mean cross-entropy of logits of mixed samples (mixup, Zhang et al. 2018): sample i is shares[i] of its own label and
// the rest of the label of sample N - 1 - i. shares: float [N].
at::Tensor mixed_cross_entropy(const at::Tensor& logits, const at::Tensor& labels, const at::Tensor& shares,
                               double label_smoothing);

// Mean over N of T^2 KL(softmax(teacher/T) || softmax(student/T)) (Hinton, Vinyals, Dean 2015): gradients keep their
// size for any T.
at::Tensor distillation(const at::Tensor& student, const at::Tensor& teacher, double temperature);

// Decoupled knowledge distillation (Zhao et al., CVPR 2022), T^2 (TCKD + 8 NCKD) with the paper's weights: the target
// class against all others, and the others among themselves. Undefined `labels`: the teacher's largest output is the
// target class.
at::Tensor decoupled_distillation(const at::Tensor& student, const at::Tensor& teacher, const at::Tensor& labels,
                                  double temperature);

// Mean squared and mean absolute difference.
at::Tensor squared_error(const at::Tensor& output, const at::Tensor& target);
at::Tensor absolute_error(const at::Tensor& output, const at::Tensor& target);

// Mean binary cross-entropy of logits against probabilities of the same shape.
at::Tensor logit_cross_entropy(const at::Tensor& logits, const at::Tensor& probabilities);

// Squared error as a share of the teacher's variance: sum (s - t)^2 / sum (t - mean t)^2. 1 is as good as a constant.
at::Tensor relative_error(const at::Tensor& student, const at::Tensor& teacher);

// Which random numbers the samples of a batch get: those of (key, epoch, index), whatever batch they are in.
struct SampleDraw {
  RandomKey key;
  int64_t epoch = 0;
  std::span<const int64_t> indices;  // [N]
};

// Labels [N] drawn from softmax(teacher) of logits [N, K]: the gradient of the cross-entropy to them is not zero where
// the student equals the teacher, and its square has the Fisher information as its mean.
at::Tensor sampled_labels(const at::Tensor& teacher, const SampleDraw& draw);

// The teacher's output [N, ...] moved by a tenth of its standard deviation in a random direction of +-1: at the teacher
// itself the squared error to it has the gradient of a random projection of the normalised output.
at::Tensor sampled_targets(const at::Tensor& teacher, const SampleDraw& draw);

}  // namespace pare
