// Weights to integer codes with a scale for each group of them, symmetric around zero: the scale from the largest
// magnitude, or the one of several with the least squared error.
#pragma once

#include <cstdint>

#include "kernels/quantize.hpp"

namespace pare::kernels {

// The codes that may be used: lowest <= 0 < highest, within int8.
struct CodeRange {
  int lowest;
  int highest;
};

// Writes the scales (shape as ScaleLayout says) and, for each element, the code round(value / scale) limited to
// `range`, as a sign-extended byte. `candidates` >= 1 scales are tried for each group: the largest magnitude divided by
// `highest`, then smaller ones in equal steps down to `least_scale` of it, and last the least-squares scale of the best
// one's codes; 1 tries the first alone. A group of zeros has scale 1. Values must be finite, and the layout's scale
// must have the outer dimension where there is one. A group is worked on by one thread: the same bytes for any number
// of threads.
void encode_weights(const float* values, const ScaleLayout& layout, CodeRange range, int candidates, float* scale,
                    uint8_t* codes);

inline constexpr float least_scale = 0.35f;

}  // namespace pare::kernels
