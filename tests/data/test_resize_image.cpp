#include <algorithm>
#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "src/data/resize_image.hpp"

namespace pare {
namespace {

std::vector<uint8_t> noise(int64_t count) {
  std::vector<uint8_t> values;
  uint32_t state = 7;
  for (int64_t i = 0; i < count; ++i)
    values.push_back(static_cast<uint8_t>((state = state * 1664525 + 1013904223) >> 24));
  return values;
}

// The definition, in two dimensions at once: the mean of all pixels, weighted by a pyramid around the result's centre.
double expected(const std::vector<uint8_t>& image, const ResizeAxis& rows, const ResizeAxis& columns, int64_t channels,
                int64_t y, int64_t x, int64_t channel) {
  const auto weight = [](const ResizeAxis& axis, int64_t target, int64_t source) {
    const double ratio = axis.extent / static_cast<double>(axis.target);
    const double distance = static_cast<double>(source) + 0.5 - (static_cast<double>(target) + 0.5) * ratio;
    return std::max(0.0, 1 - std::abs(distance) / std::max(1.0, ratio));
  };
  double sum = 0, weights = 0;
  for (int64_t i = 0; i < rows.source; ++i)
    for (int64_t j = 0; j < columns.source; ++j) {
      const double w = weight(rows, y, i) * weight(columns, x, j);
      sum += w * image[static_cast<size_t>((i * columns.source + j) * channels + channel)];
      weights += w;
    }
  return sum / weights;
}

void check_resize(ResizeAxis rows, ResizeAxis columns, int64_t channels) {
  CAPTURE(rows.source);
  CAPTURE(rows.target);
  const std::vector<uint8_t> image = noise(rows.source * columns.source * channels);
  std::vector<uint8_t> result(static_cast<size_t>(rows.count * columns.count * channels));
  ResizeMemory memory;
  resize_image(image.data(), rows, columns, channels, memory, result.data(),
               {columns.count, 1, rows.count * columns.count});
  std::vector<uint8_t> interleaved(result.size());
  resize_image(image.data(), rows, columns, channels, memory, interleaved.data(),
               {columns.count * channels, channels, 1});
  double worst = 0;
  bool same = true;
  for (int64_t channel = 0; channel < channels; ++channel)
    for (int64_t y = 0; y < rows.count; ++y)
      for (int64_t x = 0; x < columns.count; ++x) {
        const uint8_t got = result[static_cast<size_t>((channel * rows.count + y) * columns.count + x)];
        same = same && got == interleaved[static_cast<size_t>((y * columns.count + x) * channels + channel)];
        worst = std::max(worst, std::abs(got - expected(image, rows, columns, channels, y + rows.first,
                                                        x + columns.first, channel)));
      }
  CHECK(worst <= 0.501);
  CHECK(same);
}

TEST_CASE("resize_image: is the weighted mean, rounded, in all directions and for parts") {
  for (const int64_t channels : {1, 3}) {
    check_resize({17, 17, 5, 0, 5}, {13, 13, 7, 0, 7}, channels);
    check_resize({5, 5, 17, 3, 9}, {7, 7, 13, 1, 11}, channels);
    check_resize({16, 15.375, 7, 2, 4}, {12, 11.25, 12, 0, 12}, channels);
    check_resize({1, 1, 3, 0, 3}, {2, 2, 1, 0, 1}, channels);
    check_resize({64, 64, 3, 1, 1}, {3, 3, 64, 60, 4}, channels);
  }
}

TEST_CASE("resize_image: the same size is a copy") {
  const std::vector<uint8_t> image = noise(6 * 5 * 3);
  std::vector<uint8_t> result(image.size());
  ResizeMemory memory;
  resize_image(image.data(), {6, 6, 6, 0, 6}, {5, 5, 5, 0, 5}, 3, memory, result.data(), {15, 3, 1});
  CHECK(result == image);
}

}  // namespace
}  // namespace pare
