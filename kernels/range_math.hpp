// The grid of the histogram of range.hpp, once for both twins.
#pragma once

#include "kernels/range.hpp"

namespace pare::kernels {

// 2^exponent, exactly; -126 <= exponent <= 127.
PARE_HD float power_of_two(int exponent) { return bits_float(static_cast<uint32_t>(exponent + 127) << 23); }

// floor(value / 2^exponent). The product with a power of two is exact unless it underflows, and below 2^21 for any
// value of the range.
PARE_HD int32_t grid_index(float value, float inverse_width) {
  const float scaled = value * inverse_width;
  const int32_t truncated = static_cast<int32_t>(scaled);
  const int32_t rounded_up = static_cast<float>(truncated) > scaled ? 1 : 0;
  const int32_t underflowed = truncated == 0 ? 1 : 0, negative = value < 0 ? 1 : 0;
  return truncated - (rounded_up | (underflowed & negative));
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
  while (grid_index(high, power_of_two(-exponent)) - grid_index(low, power_of_two(-exponent)) >= histogram_bins)
    ++exponent;
  return {exponent, grid_index(low, power_of_two(-exponent))};
}

// Where bin i of a histogram goes when its grid widens to `grid`.
PARE_HD int64_t widened_bin(const Histogram& histogram, int64_t i, BinGrid grid) {
  const int doublings = grid.exponent - histogram.exponent;
  const int64_t index = histogram.first + i;  // floor(index / 2^doublings): right shifts of negative numbers round down
  return (doublings > 62 ? (index < 0 ? -1 : 0) : index >> doublings) - grid.first;
}

}  // namespace pare::kernels
