// 16-bit storage types: bits in memory, float in arithmetic. Conversion to float is exact.
#pragma once

#include <bit>
#include <cstdint>

namespace pare {

// IEEE 754 binary16.
struct Half {
  uint16_t bits = 0;

  explicit operator float() const {
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
    const uint32_t exponent = (bits >> 10) & 0x1fu;
    const uint32_t fraction = bits & 0x3ffu;
    if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (fraction << 13));
    if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
    const float subnormal = static_cast<float>(fraction) * 0x1p-24f;
    return sign != 0 ? -subnormal : subnormal;
  }
  explicit operator double() const { return static_cast<float>(*this); }
};

// The upper half of a binary32.
struct BFloat16 {
  uint16_t bits = 0;

  explicit operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
  explicit operator double() const { return static_cast<float>(*this); }
};

}  // namespace pare
