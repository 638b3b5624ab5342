// The formulas of fake_quant.hpp and the order of its sums, once for both twins.
#pragma once

#include "kernels/fake_quant.hpp"
#include "kernels/float_types.hpp"

namespace pare::kernels {

// Half to even; |value| < 2^22.
PARE_HD float round_to_even(float value) {
  const float shift = 0x1.8p23f;  // the distance of neighbours there is 1
  return (value + shift) - shift;
}

PARE_HD float clamp_to(float value, float low, float high) {
  const float raised = value < low ? low : value;
  return raised > high ? high : raised;
}

// The grid of one channel, in steps from the zero point.
struct QuantGrid {
  float scale;
  float low, high;  // lowest - z, highest - z
  float inside;     // 1, or 0 where values inside contribute nothing to the step's gradient
};

PARE_HD QuantGrid grid_of(const FakeQuant& quant, int64_t channel) {
  const float lowest = static_cast<float>(quant.lowest), highest = static_cast<float>(quant.highest);
  const float zero = quant.zero_points == nullptr
                         ? static_cast<float>(quant.zero_point)
                         : round_to_even(clamp_to(quant.zero_points[channel], lowest, highest));
  return {quant.scale[channel], lowest - zero, highest - zero, quant.clip_only ? 0.0f : 1.0f};
}

// All bits set where value > 0, else none (value is not -0 or NaN). gcc turns conditions around arithmetic into
// branches, which it does not vectorise; bits it leaves alone.
PARE_HD uint32_t positive_mask(float value) {
  return static_cast<uint32_t>(static_cast<int32_t>(0u - float_bits(value)) >> 31);
}

// The value, or 0 for NaN.
PARE_HD float number_or_zero(float value) {
  const uint32_t bits = float_bits(value);
  const int32_t number = static_cast<int32_t>((bits & 0x7fffffffu) - 0x7f800001u) >> 31;  // NaNs are above infinity
  return bits_float(bits & static_cast<uint32_t>(number));
}

// a where the mask's bits are set, b where they are clear.
PARE_HD float choose(uint32_t mask, float a, float b) {
  return bits_float((float_bits(a) & mask) | (float_bits(b) & ~mask));
}

PARE_HD float fake_quantize_one(float value, const QuantGrid& grid) {
  const float number = number_or_zero(value / grid.scale);
  return round_to_even(clamp_to(number, grid.low, grid.high)) * grid.scale;
}

struct QuantGradients {
  float value, step, clipped;
};

PARE_HD QuantGradients fake_quantize_gradients(float value, float gradient, const QuantGrid& grid) {
  const float number = number_or_zero(value / grid.scale);
  const float clamped = clamp_to(number, grid.low, grid.high);
  const float above_low = number - grid.low, below_high = grid.high - number;
  const float room = above_low < below_high ? above_low : below_high;  // > 0 inside
  const uint32_t inside = positive_mask(room);
  const float rounding = (round_to_even(clamped) - clamped) * grid.inside;
  return {choose(inside, gradient, 0.0f), gradient * choose(inside, rounding, clamped), choose(inside, 0.0f, gradient)};
}

// Sums of the step's gradient and of the clipped gradients. The tensor is cut into segments of one channel:
// `segment_elements` neighbours of a row [inner], of which lane l of 32 adds elements l, l + 32, ... and the lanes are
// folded (16 onto 16, 8 onto 8, ...); or, where inner is 1 (the channels lie side by side), the same column of
// `segment_rows` rows, added in order. Then lane l of 256 adds the channel's segments l, l + 256, ... and these lanes
// are folded the same way.
inline constexpr int64_t segment_elements = 1024;
inline constexpr int64_t segment_rows = 64;
inline constexpr int segment_lanes = 32;
inline constexpr int channel_lanes = 256;

struct Segments {
  bool columns;  // inner is 1 and there are several channels
  int64_t channels;
  int64_t outer;   // rows of a channel, or blocks of rows
  int64_t inner;   // elements of a row
  int64_t in_row;  // segments of a row
  int64_t rows;    // of all, where `columns`

  PARE_HD int64_t count() const { return outer * channels * in_row; }
  PARE_HD int64_t of_channel() const { return outer * in_row; }
  PARE_HD int64_t channel(int64_t segment) const { return segment / in_row % channels; }
  PARE_HD int64_t begin(int64_t segment) const {
    return segment / in_row * inner + segment % in_row * segment_elements;
  }
  PARE_HD int64_t length(int64_t segment) const {
    const int64_t left = inner - segment % in_row * segment_elements;
    return left < segment_elements ? left : segment_elements;
  }
  // Index of the p-th segment of a channel.
  PARE_HD int64_t index(int64_t channel, int64_t p) const {
    return (p / in_row * channels + channel) * in_row + p % in_row;
  }
};

PARE_HD Segments segments_of(const AxisView& view) {
  if (view.length == 1) {
    const int64_t size = view.outer * view.inner;
    return {false, 1, 1, size, (size + segment_elements - 1) / segment_elements, 1};
  }
  if (view.inner == 1) return {true, view.length, (view.outer + segment_rows - 1) / segment_rows, 1, 1, view.outer};
  return {false, view.length, view.outer, view.inner, (view.inner + segment_elements - 1) / segment_elements, 0};
}

}  // namespace pare::kernels
