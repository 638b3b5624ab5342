// The formulas of quantize.hpp, once for both twins.
#pragma once

#include "kernels/float_types.hpp"
#include "kernels/quantize.hpp"

namespace pare::kernels {

// The byte as an integer of that type.
PARE_HD int integer_value(uint8_t byte, IntegerType type) {
  return type == IntegerType::int8 || type == IntegerType::int4 ? static_cast<int>(static_cast<int8_t>(byte)) : byte;
}

// round(value / scale) + zero_point within the bounds, halves to even; NaN becomes the zero point.
PARE_HD uint8_t quantize_one(float value, float scale, int zero_point, int lowest, int highest) {
  // Clamped first: an infinity cannot become an integer. The bounds are integers, so that rounding stays within them.
  const float low = static_cast<float>(lowest - zero_point), high = static_cast<float>(highest - zero_point);
  const float quotient = value / scale;
  const float number = quotient == quotient ? quotient : 0.0f;
  const float raised = number < low ? low : number;
  const float clamped = raised > high ? high : raised;
  const float shift = 0x1.8p23f;  // the distance of neighbours there is 1
  const float rounded = (clamped + shift) - shift;
  return static_cast<uint8_t>(static_cast<int>(rounded) + zero_point);
}

PARE_HD float dequantize_one(int quantized, float scale, int zero_point) {
  return static_cast<float>(quantized - zero_point) * scale;
}

// The 4-bit integer in the low half of `bits` as a byte.
PARE_HD uint8_t extend_nibble(uint32_t bits, bool is_signed) {
  const uint32_t nibble = bits & 15u;
  return static_cast<uint8_t>(is_signed ? (nibble ^ 8u) - 8u : nibble);
}

}  // namespace pare::kernels
