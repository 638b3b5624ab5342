// Quantization of weights to integers and back, and two 4-bit integers in a byte: the arithmetic of ONNX QuantizeLinear
// and DequantizeLinear.
#pragma once

#include <cstdint>

#include "kernels/device.hpp"
#include "kernels/nm_mask.hpp"

namespace pare::kernels {

enum class IntegerType : uint8_t { int8, uint8, int4, uint4 };

PARE_HD int lowest_integer(IntegerType type) {
  return type == IntegerType::int8 ? -128 : type == IntegerType::int4 ? -8 : 0;
}
PARE_HD int highest_integer(IntegerType type) {
  return type == IntegerType::int8 ? 127 : type == IntegerType::uint8 ? 255 : type == IntegerType::int4 ? 7 : 15;
}

// A tensor [outer, length, inner] whose scales vary along `length`, one for each `block` of it, and along `inner`:
// scale[length / block rounded up, inner]; and along `outer` too when `outer` is part of the scale's shape.
//   per tensor:          {1, size, 1}, block = size
//   per channel (axis):  {before, channels, after}, block = 1, with scale_inner false
//   blocks of weights:   [K, N] with axis 0: {1, K, N}, block = 32 or so; [N, K] with axis 1: {N, K, 1}, scale_outer
//   true
struct ScaleLayout {
  AxisView view;
  int64_t block;
  bool scale_outer = false;  // the scale has the outer dimension
  bool scale_inner = true;   // the scale has the inner dimension

  PARE_HD int64_t size() const { return view.outer * view.length * view.inner; }
  PARE_HD int64_t blocks() const { return (view.length + block - 1) / block; }
  // Index of the scale of element [outer, place, inner].
  PARE_HD int64_t scale_index(int64_t outer, int64_t place, int64_t inner) const {
    const int64_t row = (scale_outer ? outer * blocks() : 0) + place / block;
    return scale_inner ? row * view.inner + inner : row;
  }
};

// quantized = clamp(round half to even(value / scale) + zero point) as one byte an element (sign-extended for int4);
// NaN gives the zero point. zero_point has the type's bytes (one an element as well) and the shape of `scale`, or is
// null for zero. Scales are positive. Bit-equal on both devices.
void quantize(Device device, const float* values, const ScaleLayout& layout, const float* scale,
              const uint8_t* zero_point, IntegerType type, uint8_t* quantized);

// values = (quantized - zero point) * scale.
void dequantize(Device device, const uint8_t* quantized, const ScaleLayout& layout, const float* scale,
                const uint8_t* zero_point, IntegerType type, float* values);

// Two 4-bit integers in a byte, the first in the low half (ONNX INT4 and UINT4); packed has (size + 1) / 2 bytes, an
// unused high half is 0. Only the low half of each byte of `integers` counts.
void pack_nibbles(Device device, const uint8_t* integers, int64_t size, uint8_t* packed);

// The inverse: one byte an element, sign-extended for int4 (type is int4 or uint4).
void unpack_nibbles(Device device, const uint8_t* packed, int64_t size, IntegerType type, uint8_t* integers);

namespace cpu {
void quantize(const float* values, const ScaleLayout& layout, const float* scale, const uint8_t* zero_point,
              IntegerType type, uint8_t* quantized);
void dequantize(const uint8_t* quantized, const ScaleLayout& layout, const float* scale, const uint8_t* zero_point,
                IntegerType type, float* values);
void pack_nibbles(const uint8_t* integers, int64_t size, uint8_t* packed);
void unpack_nibbles(const uint8_t* packed, int64_t size, IntegerType type, uint8_t* integers);
}  // namespace cpu

namespace cuda {
void quantize(void* stream, const float* values, const ScaleLayout& layout, const float* scale,
              const uint8_t* zero_point, IntegerType type, uint8_t* quantized);
void dequantize(void* stream, const uint8_t* quantized, const ScaleLayout& layout, const float* scale,
                const uint8_t* zero_point, IntegerType type, float* values);
void pack_nibbles(void* stream, const uint8_t* integers, int64_t size, uint8_t* packed);
void unpack_nibbles(void* stream, const uint8_t* packed, int64_t size, IntegerType type, uint8_t* integers);
}  // namespace cuda

}  // namespace pare::kernels
