#include "kernels/compensated_rounding.hpp"

#include <algorithm>
#include <vector>

#include "kernels/blocks.hpp"
#include "kernels/quantize_math.hpp"

namespace pare::kernels {
namespace {

// Columns that are worked on together; their errors of all rows stay in the first-level cache.
constexpr int64_t lanes = 64;

struct Lanes {
  float at[lanes];
};

// value -= factor[j] * errors[j] over the rows before.
PARE_SIMD void take_over(Lanes& value, const float* __restrict factor, const Lanes* __restrict errors, int64_t rows) {
  Lanes sum = value;
  for (int64_t j = 0; j < rows; ++j)
    for (int64_t c = 0; c < lanes; ++c) sum.at[c] -= factor[j] * errors[j].at[c];
  value = sum;
}

PARE_SIMD void round_row(const Lanes& value, const Lanes& scale, float diagonal, CodeRange range, Lanes& error,
                         uint8_t* __restrict codes) {
  const int lowest = range.lowest, highest = range.highest;
  for (int64_t c = 0; c < lanes; ++c) {
    const uint8_t code = quantize_one(value.at[c], scale.at[c], 0, lowest, highest);
    error.at[c] = (value.at[c] - static_cast<float>(static_cast<int8_t>(code)) * scale.at[c]) / diagonal;
    codes[c] = code;
  }
}

}  // namespace

void round_compensated(const float* values, const float* scale, const float* factor, int64_t stride, int64_t rows,
                       int64_t width, CodeRange range, uint8_t* codes, float* errors) {
  if (rows < 0 || rows > compensated_rows || stride < rows || range.lowest > 0 || range.highest < 1)
    fail_run("round_compensated: bad shape or range (got {} rows of stride {}, codes {} to {})", rows, stride,
             range.lowest, range.highest);
  if (rows == 0 || width == 0) return;
  check_tensor("round_compensated", 0, rows * width, values, "values");
  // Row i holds what rows before i multiply their errors by.
  std::vector<float> transposed(static_cast<size_t>(rows * rows));
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < i; ++j) transposed[static_cast<size_t>(i * rows + j)] = factor[j * stride + i];
  parallel_blocks(width, lanes, [&](int64_t, int64_t begin, int64_t end) {
    Lanes tile[compensated_rows];
    Lanes value{}, step{};
    std::fill_n(step.at, lanes, 1.0f);
    uint8_t row[lanes];
    for (int64_t i = 0; i < rows; ++i) {
      std::copy(values + i * width + begin, values + i * width + end, value.at);
      std::copy(scale + i * width + begin, scale + i * width + end, step.at);
      take_over(value, transposed.data() + i * rows, tile, i);
      round_row(value, step, factor[i * stride + i], range, tile[i], row);
      std::copy_n(tile[i].at, end - begin, errors + i * width + begin);
      std::copy_n(row, end - begin, codes + i * width + begin);
    }
  });
}

}  // namespace pare::kernels
