// The formulas of quantize.hpp, once for both twins.
#pragma once

#include "kernels/float_types.hpp"
#include "kernels/quantize.hpp"

namespace pare::kernels {

// Rounds half to even. Adding and taking away 1.5 * 2^23 rounds every |value| < 2^22; larger ones are far outside of
// any integer type here, and stay so.
PARE_HD float round_half_even(float value) {
  const float shift = 0x1.8p23f;
  return value < 0x1p22f && value > -0x1p22f ? (value + shift) - shift : value;
}

// The byte as an integer of that type.
PARE_HD int integer_value(uint8_t byte, IntegerType type) {
  return type == IntegerType::int8 || type == IntegerType::int4 ? static_cast<int>(static_cast<int8_t>(byte)) : byte;
}

PARE_HD uint8_t quantize_one(float value, float scale, int zero_point, int lowest, int highest) {
  const float rounded = round_half_even(value / scale);
  // Clamped as floats first: an infinity cannot become an integer. The sum of both is exact.
  const float shifted = rounded + static_cast<float>(zero_point);
  const float low = static_cast<float>(lowest), high = static_cast<float>(highest);
  const float clamped = shifted < low ? low : shifted > high ? high : shifted;
  const float kept = clamped == clamped ? clamped : static_cast<float>(zero_point);
  return static_cast<uint8_t>(static_cast<int>(kept));
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
