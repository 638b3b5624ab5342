// What calibration observes of a tensor: its range, a histogram of 2,048 bins that widens by doubling, and the largest
// magnitude of each channel. All observations accumulate over any number of calls, in memory that does not grow.
#pragma once

#include <cstdint>

#include "kernels/device.hpp"
#include "kernels/threshold_math.hpp"

namespace pare::kernels {

// The values of one observed tensor: fp32, bf16 or fp16.
struct Observed {
  const void* values;
  FloatType type;
  int64_t size;
};

// Starts as ValueRange{}. The bounds are kept as ordered keys, which integers can compare.
struct ValueRange {
  uint32_t lowest = 0xffffffffu;
  uint32_t highest = 0;
  unsigned long long non_finite = 0;  // inf and NaN, which do not count for the bounds

  PARE_HD bool empty() const { return lowest > highest; }
  PARE_HD float minimum() const { return key_value(lowest); }  // not of an empty range; -0 is +0
  PARE_HD float maximum() const { return key_value(highest); }
};

inline constexpr int histogram_bins = 2048;

// Bin i counts the finite values in [(first + i) w, (first + i + 1) w), w = 2^exponent. The width is the smallest power
// of two with which 2,048 bins cover the range seen so far, never less than 2^-20 of its largest magnitude; widening
// merges whole bins. So the histogram depends on the values alone, not on how they were split into calls. Starts as
// Histogram{}.
struct Histogram {
  ValueRange range;
  int32_t exponent = 0;
  int64_t first = 0;
  unsigned long long counts[histogram_bins] = {};
};

// Adds the values to *range, which lives where they live. On CUDA nothing synchronises.
void observe_range(Device device, const Observed& observed, ValueRange* range);

// Adds the values to *histogram, which lives where they live; reads the values twice on CUDA, where nothing
// synchronises, and where they widen the range, else once.
void observe_histogram(Device device, const Observed& observed, Histogram* histogram);

// absmax[c] = max(absmax[c], |values[:, c, :]|) of a [outer, channels, inner] tensor of `size` = outer channels inner
// elements. The caller zeroes absmax before the first call; a NaN makes its channel NaN.
void observe_channel_absmax(Device device, const Observed& observed, int64_t channels, int64_t inner, float* absmax);

namespace cpu {
void observe_range(const Observed& observed, ValueRange* range);
void observe_histogram(const Observed& observed, Histogram* histogram);
void observe_channel_absmax(const Observed& observed, int64_t channels, int64_t inner, float* absmax);
}  // namespace cpu

namespace cuda {
void observe_range(void* stream, const Observed& observed, ValueRange* range);
void observe_histogram(void* stream, const Observed& observed, Histogram* histogram);
void observe_channel_absmax(void* stream, const Observed& observed, int64_t channels, int64_t inner, float* absmax);
}  // namespace cuda

}  // namespace pare::kernels
