#include "kernels/block_mask.hpp"

#include <cstring>

#include "kernels/block_mask_math.hpp"
#include "kernels/blocks.hpp"

namespace pare::kernels {
namespace {

// Returns whether there is anything to do.
bool check(const char* function, const BlockGrid& grid, const void* first, const void* second) {
  if (grid.rows < 0 || grid.columns < 0 || grid.block_rows < 1 || grid.block_columns < 1)
    fail_run("{}: bad sizes (got {} x {} in blocks of {} x {})", function, grid.rows, grid.columns, grid.block_rows,
             grid.block_columns);
  check_tensor(function, 0, grid.rows * grid.columns, first, "input");
  check_tensor(function, 0, grid.rows * grid.columns, second, "output");
  return grid.rows * grid.columns > 0;
}

int64_t blocks_per_part(const BlockGrid& grid) {
  return std::max<int64_t>(1, block_elements / (grid.block_rows * grid.block_columns));
}

}  // namespace

void score_blocks(Device device, const float* score, BlockGrid grid, float* block_score) {
  if (!check("score_blocks", grid, score, block_score)) return;
  device.cuda ? cuda::score_blocks(device.stream, score, grid, block_score)
              : cpu::score_blocks(score, grid, block_score);
}

void spread_block_mask(Device device, const uint8_t* block_mask, BlockGrid grid, uint8_t* mask) {
  if (!check("spread_block_mask", grid, block_mask, mask)) return;
  device.cuda ? cuda::spread_block_mask(device.stream, block_mask, grid, mask)
              : cpu::spread_block_mask(block_mask, grid, mask);
}

namespace cpu {

void score_blocks(const float* score, BlockGrid grid, float* block_score) {
  parallel_for(0, grid.down() * grid.across(), blocks_per_part(grid), [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) block_score[block] = mean_block_score(score, grid, block);
  });
}

void spread_block_mask(const uint8_t* block_mask, BlockGrid grid, uint8_t* mask) {
  parallel_for(0, grid.rows, std::max<int64_t>(1, block_elements / grid.columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const uint8_t* blocks = block_mask + row / grid.block_rows * grid.across();
      for (int64_t b = 0, column = 0; column < grid.columns; ++b, column += grid.block_columns) {
        const int64_t width = std::min(grid.block_columns, grid.columns - column);
        memset(mask + row * grid.columns + column, blocks[b], static_cast<size_t>(width));
      }
    }
  });
}

}  // namespace cpu
}  // namespace pare::kernels
