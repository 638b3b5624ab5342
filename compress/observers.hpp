// From what was observed of an activation to the codes that it is written with: the range by a calibration method, and
// scale and zero point of that range.
#pragma once

#include <string>

#include "kernels/range.hpp"

namespace pare {

enum class CalibrationMethod { minmax, percentile, entropy, mse };

struct Calibration {
  CalibrationMethod method = CalibrationMethod::mse;
  double percentile = 99.999;  // of CalibrationMethod::percentile: share of the values inside, in per cent

  // "minmax", "percentile:99.9", "entropy" or "mse". Throws (exit 2) with what is possible.
  static Calibration parse(const std::string& text);
};

// Integer codes of an activation: value = (code - zero_point) * scale.
struct ActivationCodes {
  float scale = 1;
  int zero_point = 0;
  int lowest = 0;  // codes that are used; the stored type is int8 where lowest < 0, else uint8
  int highest = 255;
};

// One of the codes that an activation may get.
struct CodesChoice {
  ActivationCodes codes;
  bool close = true;  // for the values themselves about as good as the best
};

// Which codes there may be.
struct CodeForm {
  int bits = 8;
  bool is_signed = false;  // int8 with zero point 0 (TensorRT); else uint8
  bool symmetric = false;  // zero point in the middle, or at the lowest code for values that are never negative
};

struct ObservedRange {
  float low = 0;
  float high = 0;
};

// The range that the method takes from a histogram that is not empty. Zero always lies inside.
//   minmax      all values
//   percentile  without the outermost values, half of them on each side
//   entropy     the range whose quantized histogram is nearest by KL divergence (TensorRT's calibration, Migacz 2017)
//   mse         the range with the least squared error of rounding and clipping
ObservedRange choose_range(const kernels::Histogram& histogram, const Calibration& calibration, CodeForm form);

// The squared error of rounding and clipping, summed over the histogram, of values that are written with the codes of
// the range.
double range_error(const kernels::Histogram& histogram, ObservedRange range, CodeForm form);

// The histogram as if every value beyond the bounds had been at them.
kernels::Histogram limited(const kernels::Histogram& histogram, float low, float high);

// Scale and zero point of a range; `non_negative` values have the zero point at the lowest code. A range of one value
// gets the scale at which that value is exact, a range of zeros the scale 1.
ActivationCodes codes_of(ObservedRange range, bool non_negative, CodeForm form);

}  // namespace pare
