// A layer as a matrix product: its weight as [groups, outputs, K], and the values that it multiplies as rows of K.
#pragma once

#include "compress/weight_layout.hpp"
#include "src/exec/aten.hpp"

namespace pare {

// The weight as [groups, outputs, K], row-major, a copy where its memory is laid out otherwise.
at::Tensor weight_matrices(const WeightLayout& layout, const at::Tensor& weight);

// The inverse: writes [groups, outputs, K] into the weight.
void set_weight_matrices(const WeightLayout& layout, const at::Tensor& matrices, const at::Tensor& weight);

// Calls `take` with the layer's inputs as fp32 rows [groups, n, K] for one batch of the value `data`, so that
// rows x matrix^T are the layer's outputs without bias: patches of a convolution (im2col), the rows of a matrix
// product. Convolutions come in pieces of some samples, so that memory stays bounded. With `most` at least that many
// rows evenly spaced ones, of each sample for convolutions, where there are more; 0: all. Throws (exit 3) naming the
// node for ConvTranspose and recurrent layers, which are no plain products of their input.
void for_each_rows(const WeightUse& use, const Shape& weight_shape, const at::Tensor& data,
                   const std::function<void(const at::Tensor& rows)>& take, int64_t most = 0);

}  // namespace pare
