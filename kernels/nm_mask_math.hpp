// The choice within one group of nm_mask.hpp, once for both twins.
#pragma once

#include "kernels/threshold_math.hpp"

namespace pare::kernels {

// The four mask bytes (the first lowest, as little-endian memory has them): byte j is 1 iff element j of a group of
// four is among its two largest. Element j loses to an earlier one with a larger key and to a later one with a larger
// or equal key.
PARE_HD uint32_t keep_two_of_four(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  const uint32_t ab = b >= a, ac = c >= a, ad = d >= a, bc = c >= b, bd = d >= b, cd = d >= c;  // the later one wins
  const uint32_t keep_a = ab + ac + ad < 2, keep_b = 1 - ab + bc + bd < 2, keep_c = 2 - ac - bc + cd < 2;
  const uint32_t keep_d = 3 - ad - bd - cd < 2;
  return keep_a | keep_b << 8 | keep_c << 16 | keep_d << 24;
}

// Whether element j is among the n largest of the `count` scores that are `stride` apart.
PARE_HD bool is_kept_in_group(const float* score, int64_t stride, int count, int n, int j) {
  const uint32_t own = ordered_key(score[j * stride]);
  int larger = 0;
  for (int i = 0; i < count; ++i) {
    const uint32_t other = ordered_key(score[i * stride]);
    larger += i < j ? other > own : i > j && other >= own;
  }
  return larger < n;
}

}  // namespace pare::kernels
