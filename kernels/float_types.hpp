// Exact widening of the 16-bit float storage types, as bits, so that neither twin needs a compiler's half type.
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

}  // namespace pare::kernels
