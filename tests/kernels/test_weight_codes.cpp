#include <cmath>

#include <doctest/doctest.h>

#include "kernels/weight_codes.hpp"
#include "src/core/error.hpp"
#include "src/core/random.hpp"
#include "src/core/threads.hpp"

namespace pare::test {
namespace {

using kernels::CodeRange;
using kernels::ScaleLayout;

struct Encoded {
  std::vector<float> scale;
  std::vector<uint8_t> codes;
};

std::vector<float> values_of(int64_t size) {
  std::vector<float> values(static_cast<size_t>(size));
  for (size_t i = 0; i < values.size(); ++i) values[i] = random_normal({5, 2}, i) * (i % 97 == 0 ? 4.0f : 1.0f);
  return values;
}

Encoded encode(const std::vector<float>& values, const ScaleLayout& layout, int64_t scales, CodeRange range,
               int candidates) {
  Encoded result{std::vector<float>(static_cast<size_t>(scales)), std::vector<uint8_t>(values.size())};
  kernels::encode_weights(values.data(), layout, range, candidates, result.scale.data(), result.codes.data());
  return result;
}

// The scale's index of every element.
std::vector<int64_t> scale_indices(const ScaleLayout& layout) {
  std::vector<int64_t> indices;
  for (int64_t o = 0; o < layout.view.outer; ++o)
    for (int64_t p = 0; p < layout.view.length; ++p)
      for (int64_t i = 0; i < layout.view.inner; ++i) indices.push_back(layout.scale_index(o, p, i));
  return indices;
}

double squared_error(const std::vector<float>& values, const ScaleLayout& layout, const Encoded& encoded,
                     int64_t scale) {
  const auto indices = scale_indices(layout);
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (indices[i] != scale) continue;
    const double error =
        values[i] - double{encoded.scale[static_cast<size_t>(scale)]} * static_cast<int8_t>(encoded.codes[i]);
    sum += error * error;
  }
  return sum;
}

struct Case {
  const char* name;
  ScaleLayout layout;
  int64_t scales;
};

// Sizes that no block, lane or vector divides.
const Case cases[] = {
    {"tensor", {{1, 1031, 1}, 1031, false, false}, 1},
    {"channels", {{1, 7, 45}, 1, false, false}, 7},
    {"channels of one", {{1, 5, 1}, 1, false, false}, 5},
    {"blocks along K of [K, N]", {{1, 70, 131}, 32}, 3 * 131},
    {"blocks of a stack", {{3, 10, 5}, 4, true, true}, 3 * 3 * 5},
};

}  // namespace

TEST_CASE("encode_weights: one candidate is the largest magnitude, and codes are nearest") {
  const CodeRange range{-7, 7};
  for (const Case& row : cases) {
    CAPTURE(row.name);
    const auto values = values_of(row.layout.size());
    const Encoded encoded = encode(values, row.layout, row.scales, range, 1);
    const auto indices = scale_indices(row.layout);
    std::vector<float> largest(encoded.scale.size(), 0);
    for (size_t i = 0; i < values.size(); ++i) {
      auto& most = largest[static_cast<size_t>(indices[i])];
      most = std::max(most, std::abs(values[i]));
    }
    for (size_t s = 0; s < largest.size(); ++s) CHECK(encoded.scale[s] == largest[s] / 7.0f);
    for (size_t i = 0; i < values.size(); ++i) {
      const float scale = encoded.scale[static_cast<size_t>(indices[i])];
      REQUIRE(static_cast<int8_t>(encoded.codes[i]) == std::clamp(std::nearbyint(values[i] / scale), -7.0f, 7.0f));
    }
  }
}

TEST_CASE("encode_weights: more candidates never raise a group's squared error, and lower most") {
  for (const CodeRange range : {CodeRange{-8, 7}, CodeRange{-4, 3}, CodeRange{-2, 1}}) {
    for (const Case& row : cases) {
      if (row.layout.view.inner * row.layout.block == 1) continue;  // single weights are exact either way
      CAPTURE(row.name);
      const auto values = values_of(row.layout.size());
      const Encoded first = encode(values, row.layout, row.scales, range, 1);
      const Encoded best = encode(values, row.layout, row.scales, range, 24);
      int64_t lower = 0;
      for (int64_t s = 0; s < row.scales; ++s) {
        const double before = squared_error(values, row.layout, first, s);
        const double after = squared_error(values, row.layout, best, s);
        CHECK(after <= before * (1 + 1e-5));
        lower += after < before;
      }
      CHECK(lower * 2 > row.scales);
    }
  }
}

TEST_CASE("encode_weights: zeros have scale 1 and code 0, tiny values a scale that is a normal number") {
  const std::vector<float> values = {0, -0.0f, 0, 1e-42f, 2e-42f, -1e-42f};
  const Encoded encoded = encode(values, {{1, 2, 3}, 1, false, false}, 2, {-7, 7}, 24);
  CHECK(encoded.scale[0] == 1);
  CHECK(std::isnormal(encoded.scale[1]));
  for (size_t i = 0; i < 3; ++i) CHECK(encoded.codes[i] == 0);
}

TEST_CASE("encode_weights: the same bytes for any number of threads") {
  const ScaleLayout layout{{1, 300, 200}, 32};
  const auto values = values_of(layout.size());
  const int before = thread_count();
  set_threads(1);
  const Encoded one = encode(values, layout, 10 * 200, {-8, 7}, 24);
  set_threads(5);
  const Encoded five = encode(values, layout, 10 * 200, {-8, 7}, 24);
  set_threads(before);
  CHECK(one.scale == five.scale);
  CHECK(one.codes == five.codes);
}

TEST_CASE("encode_weights: refuses ranges and layouts that it cannot do") {
  float value = 1, scale = 0;
  uint8_t code = 0;
  CHECK_THROWS_AS(kernels::encode_weights(&value, {{1, 1, 1}, 0}, {-8, 7}, 1, &scale, &code), Error);
  CHECK_THROWS_AS(kernels::encode_weights(&value, {{1, 1, 1}, 1}, {-129, 7}, 1, &scale, &code), Error);
  CHECK_THROWS_AS(kernels::encode_weights(&value, {{2, 1, 1}, 1, false, false}, {-8, 7}, 1, &scale, &code), Error);
}

}  // namespace pare::test
