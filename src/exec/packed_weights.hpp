// Weights that never change, packed once in the form that oneDNN and MKL read; ATen's own operators pack them again in
// every call.
#pragma once

#include <mutex>

#include "src/exec/aten.hpp"

namespace pare {

// A convolution's sizes behind its first two dimensions, and its groups.
struct ConvolutionSizes {
  const std::vector<int64_t>& pads;
  const std::vector<int64_t>& strides;
  const std::vector<int64_t>& dilations;
  int64_t group;
};

// The weight of one node. Packed when it is first used, after that every call must bring the same tensor. Both
// functions return nothing where packing does not apply or does not pay: with gradients or autocast on, away from the
// CPU, in other types than float32, and where sizes do not fit.
class PackedWeight {
 public:
  // x [N, C, H, W], weight [O, C / group, h, w], bias [O] or undefined.
  std::optional<at::Tensor> convolve(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                                     const ConvolutionSizes& sizes);
  // x [..., K] times weight [N, K], transposed, plus bias [N] or undefined.
  std::optional<at::Tensor> multiply(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

 private:
  std::once_flag packing_;
  at::Tensor packed_;
  at::Tensor rows_;     // the weight itself, contiguous, where MKL asks for it
  int64_t height_ = 0;  // rows of x that the weight was packed for
};

}  // namespace pare
