// The arithmetic of QuantizeLinear and DequantizeLinear on ATen tensors. 4-bit integers are held one a byte,
// sign-extended for int4: ATen has no type for them.
#pragma once

#include "src/exec/aten.hpp"
#include "src/graph/tensor.hpp"

namespace pare {

// How scales and zero points lie along a tensor: one number for all of it, one an index of `axis`, or with block > 0
// one for each `block` neighbours along `axis`.
struct ScaleAxis {
  int64_t axis = 1;
  int64_t block = 0;
};

// The largest finite number of an 8-bit float type; 0 for other types.
double largest_float8(DType type);

// saturate(round half to even(x / scale) + zero point) in fp32, as ATen's type for `type`. Without `saturates`, 8-bit
// floats overflow to what they have for it instead. An undefined zero point is 0. Throws c10::Error where the shapes of
// x and scale do not fit together.
at::Tensor quantize(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point, DType type,
                    ScaleAxis along, bool saturates = true);

// (x - zero point) * scale, computed in fp32, in the scale's type.
at::Tensor dequantize(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point, ScaleAxis along);

// Values with the scale and zero point that they were quantized by, one number each.
struct Quantized {
  at::Tensor values;
  at::Tensor scale;
  at::Tensor zero_point;
};

// x as uint8: its range, widened to hold zero, over 255 steps (ONNX DynamicQuantizeLinear). A range of nothing has the
// scale 1, as in ONNX Runtime.
Quantized quantize_dynamically(const at::Tensor& x);

// Exact integers (of any type) times a real factor, quantized: saturate(round(x * factor) + zero point). The factor
// broadcasts against x.
at::Tensor requantize(const at::Tensor& x, const at::Tensor& factor, const at::Tensor& zero_point, DType type);

}  // namespace pare
