// The order-preserving integer image of a float, once for both twins of threshold.hpp.
#pragma once

#include <cstdint>

#include "kernels/device.hpp"
#include "kernels/float_types.hpp"

namespace pare::kernels {

// a < b as floats iff ordered_key(a) < ordered_key(b); -0 and +0 share a key. Not for NaN.
PARE_HD uint32_t ordered_key(float value) {
  const uint32_t bits = float_bits(value + 0.0f);  // -0 + 0 is +0
  const uint32_t sign = static_cast<uint32_t>(static_cast<int32_t>(bits) >> 31);
  return bits ^ (sign | 0x80000000u);
}

PARE_HD float key_value(uint32_t key) { return bits_float((key & 0x80000000u) != 0 ? key ^ 0x80000000u : ~key); }

PARE_HD bool is_nan(float value) { return (float_bits(value) & 0x7fffffffu) > 0x7f800000u; }

}  // namespace pare::kernels
