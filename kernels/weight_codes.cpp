#include "kernels/weight_codes.hpp"

#include <cfloat>
#include <cmath>

#include "kernels/blocks.hpp"
#include "kernels/quantize_math.hpp"

namespace pare::kernels {
namespace {

// Columns that are worked on together: each has a scale of its own, or all share one.
constexpr int64_t lanes = 64;
constexpr float rounding_shift = 0x1.8p23f;

// Rows of up to `lanes` neighbours, `stride` apart.
struct Tile {
  const float* values;
  int64_t rows, width, stride;
};

struct Lanes {
  float at[lanes];
};

PARE_SIMD void largest(const Tile& tile, Lanes& magnitude) {
  for (int64_t c = 0; c < tile.width; ++c) magnitude.at[c] = 0;
  for (int64_t r = 0; r < tile.rows; ++r) {
    const float* row = tile.values + r * tile.stride;
    for (int64_t c = 0; c < tile.width; ++c) {
      const float size = row[c] < 0 ? -row[c] : row[c];
      magnitude.at[c] = size > magnitude.at[c] ? size : magnitude.at[c];
    }
  }
}

// Sums of (value - code * scale)^2, and with them of value * code and code^2.
struct Sums {
  Lanes error, product, square;
};

PARE_SIMD void measure(const Tile& tile, const Lanes& scale, CodeRange range, Sums& sums) {
  Lanes inverse;
  const float low = static_cast<float>(range.lowest), high = static_cast<float>(range.highest);
  for (int64_t c = 0; c < tile.width; ++c) {
    inverse.at[c] = 1.0f / scale.at[c];
    sums.error.at[c] = sums.product.at[c] = sums.square.at[c] = 0;
  }
  for (int64_t r = 0; r < tile.rows; ++r) {
    const float* row = tile.values + r * tile.stride;
    for (int64_t c = 0; c < tile.width; ++c) {
      const float number = row[c] * inverse.at[c];
      const float raised = number < low ? low : number;
      const float code = ((raised > high ? high : raised) + rounding_shift) - rounding_shift;
      const float error = row[c] - code * scale.at[c];
      sums.error.at[c] += error * error;
      sums.product.at[c] += row[c] * code;
      sums.square.at[c] += code * code;
    }
  }
}

// One scale for all: the lanes' sums become the group's, in a fixed order.
void merge(Lanes& values, int64_t width) {
  float total = 0;
  for (int64_t c = 0; c < width; ++c) total += values.at[c];
  for (int64_t c = 0; c < width; ++c) values.at[c] = total;
}

void add(Lanes& values, const Lanes& more, int64_t width) {
  for (int64_t c = 0; c < width; ++c) values.at[c] += more.at[c];
}

// A group, or `lanes` groups beside each other: its tiles, which share the lanes' scales.
struct Group {
  Tile main;
  Tile rest;    // the shorter last row of a contiguous group; no rows where there is none
  bool shared;  // all lanes have one scale
};

void measure(const Group& group, const Lanes& scale, CodeRange range, Sums& sums) {
  measure(group.main, scale, range, sums);
  if (!group.shared) return;
  if (group.rest.rows > 0) {
    Sums rest;
    measure(group.rest, scale, range, rest);
    add(sums.error, rest.error, group.rest.width);
    add(sums.product, rest.product, group.rest.width);
    add(sums.square, rest.square, group.rest.width);
  }
  merge(sums.error, group.main.width);
  merge(sums.product, group.main.width);
  merge(sums.square, group.main.width);
}

void first_scales(const Group& group, CodeRange range, Lanes& scale) {
  const int64_t width = group.main.width;
  largest(group.main, scale);
  if (group.rest.rows > 0) {
    Lanes rest;
    largest(group.rest, rest);
    for (int64_t c = 0; c < group.rest.width; ++c) scale.at[c] = std::max(scale.at[c], rest.at[c]);
  }
  if (group.shared) std::fill_n(scale.at, width, *std::max_element(scale.at, scale.at + width));
  const auto steps = static_cast<float>(range.highest);
  for (int64_t c = 0; c < width; ++c) scale.at[c] = scale.at[c] == 0 ? 1.0f : std::max(scale.at[c] / steps, FLT_MIN);
}

void best_scales(const Group& group, CodeRange range, int candidates, Lanes& scale) {
  first_scales(group, range, scale);
  if (candidates <= 1) return;
  const int64_t width = group.main.width;
  const Lanes first = scale;
  Sums sums;
  measure(group, scale, range, sums);
  Lanes least = sums.error;
  Lanes fitted = scale;
  const auto fit = [&](int64_t c) {
    fitted.at[c] = sums.square.at[c] > 0 ? std::max(sums.product.at[c] / sums.square.at[c], FLT_MIN) : scale.at[c];
  };
  for (int64_t c = 0; c < width; ++c) fit(c);
  for (int i = 1; i < candidates; ++i) {
    const float part =
        1.0f - (1.0f - least_scale) * static_cast<float>(i) / static_cast<float>(std::max(1, candidates - 1));
    Lanes candidate;
    for (int64_t c = 0; c < width; ++c) candidate.at[c] = std::max(first.at[c] * part, FLT_MIN);
    measure(group, candidate, range, sums);
    for (int64_t c = 0; c < width; ++c) {
      if (!(sums.error.at[c] < least.at[c])) continue;
      least.at[c] = sums.error.at[c];
      scale.at[c] = candidate.at[c];
      fit(c);
    }
  }
  measure(group, fitted, range, sums);
  for (int64_t c = 0; c < width; ++c)
    if (sums.error.at[c] < least.at[c]) scale.at[c] = fitted.at[c];
}

// Bytes may alias everything, so what the loop reads is named and the codes are restricted: else it stays scalar.
PARE_SIMD void encode(const Tile& tile, const Lanes& scale, CodeRange range, uint8_t* __restrict codes) {
  const int64_t rows = tile.rows, width = tile.width, stride = tile.stride;
  const int lowest = range.lowest, highest = range.highest;
  const float* __restrict scales = scale.at;
  for (int64_t r = 0; r < rows; ++r) {
    const float* __restrict values = tile.values + r * stride;
    uint8_t* __restrict row = codes + r * stride;
    for (int64_t c = 0; c < width; ++c) row[c] = quantize_one(values[c], scales[c], 0, lowest, highest);
  }
}

}  // namespace

void encode_weights(const float* values, const ScaleLayout& layout, CodeRange range, int candidates, float* scale,
                    uint8_t* codes) {
  const auto [outer, length, inner] = layout.view;
  if (layout.block < 1 || range.lowest > 0 || range.highest < 1 || range.lowest < -128 || range.highest > 127)
    fail_run("encode_weights: bad layout or range (got blocks of {}, codes {} to {})", layout.block, range.lowest,
             range.highest);
  if (layout.size() == 0) return;
  check_tensor("encode_weights", 0, layout.size(), values, "values");
  const int64_t blocks = layout.blocks();
  const bool columns = layout.scale_inner && inner > 1;
  if (!layout.scale_outer && outer > 1)
    fail_run("encode_weights: groups across outer rows are not supported (got {} rows)", outer);
  const int64_t tiles = columns ? (inner + lanes - 1) / lanes : 1;
  const auto work = [&, length = length, inner = inner](int64_t job) {
    const int64_t o = job / (blocks * tiles), b = job / tiles % blocks, t = job % tiles;
    const int64_t first = b * layout.block, rows = std::min(layout.block, length - first);
    const int64_t start = (o * length + first) * inner + t * lanes;
    Lanes chosen;
    Group group{};
    if (columns) {
      group = {{values + start, rows, std::min(lanes, inner - t * lanes), inner}, {}, false};
    } else {
      const int64_t count = rows * inner, width = std::min(lanes, count);
      group = {{values + start, count / width, width, width}, {}, true};
      const int64_t left = count % width;
      if (left > 0) group.rest = {values + start + count - left, 1, left, left};
    }
    best_scales(group, range, candidates, chosen);
    encode(group.main, chosen, range, codes + start);
    if (group.rest.rows > 0) encode(group.rest, chosen, range, codes + (group.rest.values - values));
    const int64_t s = layout.scale_index(o, first, t * lanes);
    std::copy_n(chosen.at, columns ? group.main.width : 1, scale + s);
  };
  parallel_for(0, outer * blocks * tiles, 1, [&](int64_t begin, int64_t end) {
    for (int64_t job = begin; job < end; ++job) work(job);
  });
}

}  // namespace pare::kernels
