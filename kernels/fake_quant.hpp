// Fake quantization for training: values rounded to the grid that a quantized model will have, and the gradients that
// train weights, step and zero point through it.
#pragma once

#include <cstdint>

#include "kernels/device.hpp"
#include "kernels/nm_mask.hpp"

namespace pare::kernels {

// A tensor [outer, channels, inner] with one step (scale) a channel, and its integer grid lowest .. highest. The value
// of code q is (q - z) * scale, which is what ONNX DequantizeLinear gives. The zero point z is `zero_point`, or where
// it is learned round half to even(clamp(zero_points[channel], lowest, highest)).
struct FakeQuant {
  const void* values;
  FloatType type;            // of values, results and gradients; arithmetic is in fp32
  AxisView view;             // {1, 1, size}: per tensor; {before, channels, after}: per channel
  const float* scale;        // [channels], finite and > 0
  const float* zero_points;  // [channels], or null for a fixed zero point
  int zero_point;            // within the grid; unread where it is learned
  int lowest, highest;       // lowest < highest, magnitudes at most 65,535
  bool clip_only = false;    // the step's gradient counts clipped values alone (Choi et al., PACT, 2018)

  PARE_HD int64_t size() const { return view.outer * view.length * view.inner; }
};

// result = (clamp(round half to even(value / scale) + z, lowest, highest) - z) * scale, in the type of the values; NaN
// gives 0. Equal to quantize and dequantize bit for bit; bit-equal on both devices.
void fake_quantize(Device device, const FakeQuant& quant, void* result);

// Gradients by the straight-through estimator, from `gradient` of the result, with u = value / scale + z:
//   value:  gradient where lowest < u < highest, else 0
//   step:   gradient_scale * sum over the channel of gradient * (round(u) - u), or gradient * (bound - z) where clipped
//           (Esser et al., Learned Step Size Quantization, 2020, eq. 3)
//   zero point: gradient_scale * -scale * sum of the gradients of clipped values (Bhalgat et al., LSQ+, 2020, eq. 6,
//   with
//           the offset -z * scale)
// `input_gradient` has the values' shape and type, `scale_gradient` and `zero_gradient` (null where the zero point is
// fixed) are [channels] in fp32. Nothing is stored between forward and backward but the values. The order of all sums
// is fixed, so that the gradients do not depend on the number of threads and are bit-equal on both devices. A Relu
// before a grid whose zero point is its lowest code needs no pass of its own: result and gradients are the same.
void fake_quantize_backward(Device device, const FakeQuant& quant, const void* gradient, float gradient_scale,
                            void* input_gradient, float* scale_gradient, float* zero_gradient);

namespace cpu {
void fake_quantize(const FakeQuant& quant, void* result);
void fake_quantize_backward(const FakeQuant& quant, const void* gradient, float gradient_scale, void* input_gradient,
                            float* scale_gradient, float* zero_gradient);
}  // namespace cpu

namespace cuda {
void fake_quantize(void* stream, const FakeQuant& quant, void* result);
void fake_quantize_backward(void* stream, const FakeQuant& quant, const void* gradient, float gradient_scale,
                            void* input_gradient, float* scale_gradient, float* zero_gradient);
}  // namespace cuda

}  // namespace pare::kernels
