// Rounding of a layer's weights so that its outputs on calibration samples change least: GPTQ (Frantar et al., 2023).
#pragma once

#include "compress/hessian.hpp"
#include "compress/weight_encoding.hpp"
#include "compress/weight_layout.hpp"

namespace pare {

// What GPTQ needs of the inputs of a layer's group: layers with the same inputs share it.
struct RoundingOrder {
  at::Tensor hessian;    // [K, K], fp32, on the CPU
  at::Tensor inputs;     // [K], int64: the inputs by falling diagonal of the Hessian ("act-order")
  InverseFactor factor;  // of the Hessian in that order
};

// One for each group of the layer. Throws as inverse_factor() does.
std::vector<RoundingOrder> rounding_orders(const Hessian& hessian, double damping = 0.01);

// Chooses codes for the scales of `nearest`, the values rounded to nearest: inputs in the order of the factor, blocks
// of 128 of them, after each of which the later inputs take over what was lost (scales do not move, the published
// code's `static_groups`). `layout` says how the values [as nearest.groups.shape] are matrices. Inputs that were always
// zero are rounded to nearest. Where the squared change of the outputs is not lower than of `nearest`, gives that.
// Equal arguments give equal bytes.
RoundedWeight round_gptq(const std::vector<float>& values, const WeightLayout& layout, EncodedWeight nearest,
                         const std::vector<RoundingOrder>& orders);

}  // namespace pare
