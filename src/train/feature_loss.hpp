// Losses between values in the middle of two networks: student and teacher features of the same batch, [N, ...]. All
// compute in fp32 and return [] tensors.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "src/exec/aten.hpp"
#include "src/graph/tensor.hpp"

namespace pare {

struct FeatureLoss {
  std::string_view name;
  std::string_view meaning;
  at::Tensor (*of)(const at::Tensor& student, const at::Tensor& teacher);
  bool same_shape;  // the features must have the same shape: an adapter makes the student's so
};

// Every method of --feature-loss.
std::span<const FeatureLoss> feature_losses();

// Throws (exit 2) naming the known ones.
const FeatureLoss& find_feature_loss(std::string_view name);

// Hints (Romero et al., FitNets, ICLR 2015): squared error as a share of the teacher's variance.
at::Tensor fitnet_loss(const at::Tensor& student, const at::Tensor& teacher);

// Attention transfer (Zagoruyko & Komodakis, ICLR 2017): the squares of [N,C,H,W] summed over channels, or of [N,T,D]
// over D, as a unit vector a sample; mean squared difference. Throws (exit 3) for [N,F] and for maps of other sizes.
at::Tensor attention_loss(const at::Tensor& student, const at::Tensor& teacher);

// Similarity-preserving (Tung & Mori, ICCV 2019): the rows of F F^T over the batch as unit vectors; squared difference
// / N^2.
at::Tensor similarity_loss(const at::Tensor& student, const at::Tensor& teacher);

// Relational (Park et al., CVPR 2019): distances between samples over their mean, and twice the angles of all triples;
// Huber loss of both.
at::Tensor relational_loss(const at::Tensor& student, const at::Tensor& teacher);

// The shape [out, in, 1, 1] or [out, in] of the 1x1 adapter from student to teacher features that differ in channels
// alone ([C,H,W], [T,D] or [F], without the batch); empty when they are equal. Throws (exit 3) when they differ in
// more.
Shape adapter_shape(const Shape& student, const Shape& teacher);

// The student's features [N,...] through the adapter.
at::Tensor adapted(const at::Tensor& features, const at::Tensor& adapter);

}  // namespace pare
