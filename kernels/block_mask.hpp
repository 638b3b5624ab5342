// Block pruning: one score for each block of R rows and C columns of a matrix, and the mask of blocks spread over its
// elements. Between the two, select_smallest and write_masks choose among the block scores.
#pragma once

#include <cstdint>

#include "kernels/device.hpp"

namespace pare::kernels {

// A [rows, columns] row-major matrix cut into blocks; the last ones of a row or column may be smaller.
struct BlockGrid {
  int64_t rows, columns;
  int64_t block_rows, block_columns;

  PARE_HD int64_t down() const { return (rows + block_rows - 1) / block_rows; }
  PARE_HD int64_t across() const { return (columns + block_columns - 1) / block_columns; }
};

// block_score[down, across] = mean of the block's scores: the sum in fp32, row by row from the left, divided by the
// number of elements, so that smaller blocks at the edge compete fairly. Bit-equal on both devices.
void score_blocks(Device device, const float* score, BlockGrid grid, float* block_score);

// mask[rows, columns] = the value (0 or 1) of its block in block_mask[down, across].
void spread_block_mask(Device device, const uint8_t* block_mask, BlockGrid grid, uint8_t* mask);

namespace cpu {
void score_blocks(const float* score, BlockGrid grid, float* block_score);
void spread_block_mask(const uint8_t* block_mask, BlockGrid grid, uint8_t* mask);
}  // namespace cpu

namespace cuda {
void score_blocks(void* stream, const float* score, BlockGrid grid, float* block_score);
void spread_block_mask(void* stream, const uint8_t* block_mask, BlockGrid grid, uint8_t* mask);
}  // namespace cuda

}  // namespace pare::kernels
