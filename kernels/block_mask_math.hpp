// The score of one block, once for both twins of block_mask.hpp.
#pragma once

#include "kernels/block_mask.hpp"

namespace pare::kernels {

PARE_HD float mean_block_score(const float* score, const BlockGrid& grid, int64_t block) {
  const int64_t top = block / grid.across() * grid.block_rows, left = block % grid.across() * grid.block_columns;
  const int64_t bottom = top + grid.block_rows < grid.rows ? top + grid.block_rows : grid.rows;
  const int64_t right = left + grid.block_columns < grid.columns ? left + grid.block_columns : grid.columns;
  float sum = 0;
  for (int64_t row = top; row < bottom; ++row)
    for (int64_t column = left; column < right; ++column) sum += score[row * grid.columns + column];
  return sum / static_cast<float>((bottom - top) * (right - left));
}

}  // namespace pare::kernels
