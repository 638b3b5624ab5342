// The 16-bit float storage types as bits, so that neither twin needs a compiler's half type: widening is exact,
// narrowing rounds half to even.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/device.hpp"

namespace pare::kernels {

PARE_HD uint32_t float_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

PARE_HD float bits_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

PARE_HD float bf16_to_float(uint16_t bits) { return bits_float(static_cast<uint32_t>(bits) << 16); }

// IEEE binary16. The exponent is rebased by a multiplication by 2^112, which is exact and also normalises subnormals.
PARE_HD float fp16_to_float(uint16_t bits) {
  const uint32_t magnitude = (bits & 0x7fffu) << 13;
  const uint32_t sign = (bits & 0x8000u) << 16;
  const uint32_t finite = float_bits(bits_float(magnitude) * 0x1p112f);
  const uint32_t special = magnitude | 0x7f800000u;  // inf and NaN keep their payload
  return bits_float(sign | (magnitude >= 0x0f800000u ? special : finite));
}

// NaN becomes the quiet NaN of its sign.
PARE_HD uint16_t float_to_bf16(float value) {
  const uint32_t bits = float_bits(value);
  const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  const uint32_t nan = (bits >> 16 & 0x8000u) | 0x7fc0u;
  return static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

// IEEE binary16; too large values become inf, NaN the quiet NaN of its sign.
PARE_HD uint16_t float_to_fp16(float value) {
  const uint32_t bits = float_bits(value), magnitude = bits & 0x7fffffffu;
  // Below 2^-14 the sum with 0.5 rounds at the place of the last bit of a subnormal; above, the exponent is rebased.
  const uint32_t subnormal = float_bits(bits_float(magnitude) + 0.5f) - 0x3f000000u;
  const uint32_t normal = (magnitude + 0xc8000fffu + (magnitude >> 13 & 1u)) >> 13;
  const uint32_t finite = magnitude < 0x38800000u ? subnormal : normal;
  const uint32_t special = magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u;
  return static_cast<uint16_t>((magnitude >= 0x477ff000u ? special : finite) | (bits >> 16 & 0x8000u));
}

// False for inf and NaN.
PARE_HD bool is_finite(float value) { return (float_bits(value) & 0x7f800000u) != 0x7f800000u; }

// Element `i` of an array of `type`, widened to fp32.
PARE_HD float load_float(const void* data, FloatType type, int64_t i) {
  switch (type) {
    case FloatType::fp32:
      return static_cast<const float*>(data)[i];
    case FloatType::bf16:
      return bf16_to_float(static_cast<const uint16_t*>(data)[i]);
    default:
      return fp16_to_float(static_cast<const uint16_t*>(data)[i]);
  }
}

// Stores `value` as element `i` of an array of `type`.
PARE_HD void store_float(void* data, FloatType type, int64_t i, float value) {
  switch (type) {
    case FloatType::fp32:
      static_cast<float*>(data)[i] = value;
      break;
    case FloatType::bf16:
      static_cast<uint16_t*>(data)[i] = float_to_bf16(value);
      break;
    default:
      static_cast<uint16_t*>(data)[i] = float_to_fp16(value);
  }
}

}  // namespace pare::kernels
