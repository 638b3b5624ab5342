// The formulas of score.hpp, once for both twins.
#pragma once

#include "kernels/device.hpp"
#include "kernels/float_types.hpp"
#include "kernels/score.hpp"

namespace pare::kernels {

// Score of one step from weight w and unscaled gradient g.
PARE_HD float step_score(Importance importance, float w, float g) {
  const float product = w * g;
  switch (importance) {
    case Importance::magnitude:
      return bits_float(float_bits(w) & 0x7fffffffu);
    case Importance::taylor:
      return bits_float(float_bits(product) & 0x7fffffffu);
    case Importance::fisher:
      return product * product;
    case Importance::snip:
      return product;
    default:
      return -product;  // movement
  }
}

// Accumulated score after a step; gain = 1 - decay, rounded once to fp32.
PARE_HD float blend_score(Accumulate accumulate, float accumulated, float step, float decay, float gain) {
  switch (accumulate) {
    case Accumulate::replace:
      return step;
    case Accumulate::sum:
      return accumulated + step;
    default:
      return decay * accumulated + gain * step;
  }
}

}  // namespace pare::kernels
