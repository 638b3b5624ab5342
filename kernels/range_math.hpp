// The grid of the histogram of range.hpp, once for both twins.
#pragma once

#include "kernels/range.hpp"

namespace pare::kernels {

// 2^exponent, exactly; -126 <= exponent <= 127.
PARE_HD float power_of_two(int exponent) { return bits_float(static_cast<uint32_t>(exponent + 127) << 23); }

// floor(value / width) for a width that is a power of two. The quotient is below 2^21 for any value of the range, and
// exact unless it underflows; its integer part times the width is exact always.
PARE_HD int32_t grid_index(float value, float width, float inverse_width) {
  const int32_t truncated = static_cast<int32_t>(value * inverse_width);
  return truncated - (static_cast<float>(truncated) * width > value ? 1 : 0);
}

struct BinGrid {
  int32_t exponent;
  int64_t first;
};

// The grid for a range that is not empty.
PARE_HD BinGrid grid_of(const ValueRange& range) {
  const float low = range.minimum(), high = range.maximum();
  const uint32_t largest = float_bits(low < 0 && -low > high ? -low : high) & 0x7fffffffu;
  int exponent = static_cast<int>(largest >> 23) - 127 - 20;
  if (exponent < -126) exponent = -126;
  const auto index = [&](float value) { return grid_index(value, power_of_two(exponent), power_of_two(-exponent)); };
  while (index(high) - index(low) >= histogram_bins) ++exponent;
  return {exponent, index(low)};
}

// Where bin i of a histogram goes when its grid widens to `grid`.
PARE_HD int64_t widened_bin(const Histogram& histogram, int64_t i, BinGrid grid) {
  const int doublings = grid.exponent - histogram.exponent;
  const int64_t index = histogram.first + i;  // floor(index / 2^doublings): right shifts of negative numbers round down
  return (doublings > 62 ? (index < 0 ? -1 : 0) : index >> doublings) - grid.first;
}

}  // namespace pare::kernels
