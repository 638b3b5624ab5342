// What a convolution node says of its geometry, read once, and the convolution itself.
#pragma once

#include "src/exec/ops.hpp"
#include "src/graph/windows.hpp"

namespace pare {

// The tensor in the type that autocast runs convolutions in, or as it is outside of autocast. ATen does this by itself
// for conv1d to conv3d, but for at::convolution on CUDA only.
at::Tensor in_autocast_type(const at::Tensor& tensor);

class Convolution {
 public:
  // The node's weight is its input `weight`. Throws (exit 3) where the kernel's shape is not known.
  Convolution(const Site& site, size_t weight);

  // x [N, C, spatial...], w [O, C / group, kernel...]; an undefined bias is none. Pads are zeros.
  at::Tensor run(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) const;

 private:
  Windows windows_;
  int64_t group_;
  std::shared_ptr<PackedWeight> packed_;
};

// The shape of a node's kernel: its attribute, or what the weight at `weight` has. Throws (exit 3) where neither is
// known.
std::vector<int64_t> kernel_shape(const Site& site, size_t weight);

// x with pads around its spatial dimensions.
at::Tensor padded(const at::Tensor& x, const std::vector<int64_t>& begin, const std::vector<int64_t>& end,
                  double value);

}  // namespace pare
