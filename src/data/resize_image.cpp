#include "src/data/resize_image.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/device.hpp"

namespace pare {
namespace {

// The source pixels that make one pixel of the result.
struct Taps {
  int64_t first = 0;  // of the source
  int64_t count = 0;
  int64_t weights = 0;  // where they begin
};

struct Filter {
  std::vector<Taps> taps;  // by pixel of the result
  std::vector<float> weights;
};

double triangle(double distance) { return std::max(0.0, 1.0 - std::abs(distance)); }

// Of an enlarged image the triangle is one source pixel wide to each side, of a reduced one as many as become one.
Filter make_filter(const ResizeAxis& axis) {
  const double ratio = axis.extent / static_cast<double>(axis.target);
  const double support = std::max(ratio, 1.0);
  Filter filter;
  std::vector<double> weights;
  for (int64_t x = axis.first; x < axis.first + axis.count; ++x) {
    const double centre = (static_cast<double>(x) + 0.5) * ratio;
    int64_t first = std::max<int64_t>(0, static_cast<int64_t>(centre - support + 0.5));
    int64_t end = std::min(axis.source, static_cast<int64_t>(centre + support + 0.5));
    first = std::min(first, axis.source - 1);
    end = std::max(end, first + 1);
    weights.clear();
    double sum = 0;
    for (int64_t i = first; i < end; ++i)
      weights.push_back(triangle((static_cast<double>(i) + 0.5 - centre) / support)), sum += weights.back();
    if (sum == 0) weights.assign(1, sum = 1.0);
    // What weighs nothing need not be read.
    while (weights.back() == 0) weights.pop_back();
    size_t zeros = 0;
    while (weights[zeros] == 0) ++zeros;
    filter.taps.push_back({first + static_cast<int64_t>(zeros), static_cast<int64_t>(weights.size() - zeros),
                           static_cast<int64_t>(filter.weights.size())});
    for (size_t i = zeros; i < weights.size(); ++i) filter.weights.push_back(static_cast<float>(weights[i] / sum));
  }
  return filter;
}

// sums[i] = weight * values[i], or adds that.
PARE_SIMD void first_row(const uint8_t* values, float weight, int64_t count, float* sums) {
  for (int64_t i = 0; i < count; ++i) sums[i] = weight * static_cast<float>(values[i]);
}
PARE_SIMD void next_row(const uint8_t* values, float weight, int64_t count, float* sums) {
  for (int64_t i = 0; i < count; ++i) sums[i] += weight * static_cast<float>(values[i]);
}

uint8_t rounded(float value) { return static_cast<uint8_t>(std::clamp(value + 0.5f, 0.0f, 255.0f)); }

template <int64_t Channels>
void write_row(const float* row, const Filter& filter, uint8_t* target, ImageSteps steps) {
  for (const Taps& taps : filter.taps) {
    const float* const weights = filter.weights.data() + taps.weights;
    const float* pixel = row + taps.first * Channels;
    float sums[Channels] = {};
    for (int64_t tap = 0; tap < taps.count; ++tap, pixel += Channels)
      for (int64_t channel = 0; channel < Channels; ++channel) sums[channel] += weights[tap] * pixel[channel];
    for (int64_t channel = 0; channel < Channels; ++channel) target[channel * steps.channel] = rounded(sums[channel]);
    target += steps.pixel;
  }
}

}  // namespace

void resize_image(const uint8_t* image, const ResizeAxis& rows, const ResizeAxis& columns, int64_t channels,
                  ResizeMemory& memory, uint8_t* target, ImageSteps steps) {
  const Filter vertical = make_filter(rows);
  const Filter horizontal = make_filter(columns);
  // The columns that the crop needs; the rows are the filter's.
  const int64_t begin = horizontal.taps.front().first * channels;
  const int64_t end = (horizontal.taps.back().first + horizontal.taps.back().count) * channels;
  const int64_t row_size = columns.source * channels;
  memory.row.resize(static_cast<size_t>(row_size));
  float* const row = memory.row.data();
  for (const Taps& taps : vertical.taps) {
    const float* const weights = vertical.weights.data() + taps.weights;
    const uint8_t* values = image + taps.first * row_size + begin;
    first_row(values, weights[0], end - begin, row + begin);
    for (int64_t tap = 1; tap < taps.count; ++tap)
      next_row(values + tap * row_size, weights[tap], end - begin, row + begin);
    if (channels == 3) write_row<3>(row, horizontal, target, steps);
    else write_row<1>(row, horizontal, target, steps);
    target += steps.row;
  }
}

}  // namespace pare
