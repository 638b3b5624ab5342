// Block scores and block masks.
//
// Scoring: 4 B read a weight, 4 B written a block. A thread takes one block and adds it in the order that the CPU twin
// does, so that both are bit-equal; neighbouring threads take neighbouring blocks, so a step of a warp reads 32 blocks'
// parts of one row: full sectors while a block is up to 8 columns wide, one sector a thread beyond, the rest of which
// the next steps find in the first-level cache. Spreading: 1 B written a weight, the block mask comes from the cache; a
// thread writes single bytes, and a warp 32 neighbours. 256 threads, eight blocks a multiprocessor, no shared memory.
// Expected: half of the bandwidth of a copy for scoring, less for few large blocks (one thread each); both run once a
// mask update, not once a step.
#include "kernels/block_mask.hpp"
#include "kernels/block_mask_math.hpp"
#include "kernels/tensor_list.hpp"

namespace pare::kernels::cuda {
namespace {

__global__ void __launch_bounds__(chunk_threads)
    score_blocks_kernel(const float* score, BlockGrid grid, float* block_score) {
  const int64_t blocks = grid.down() * grid.across(), stride = int64_t{gridDim.x} * chunk_threads;
  for (int64_t block = int64_t{blockIdx.x} * chunk_threads + threadIdx.x; block < blocks; block += stride)
    block_score[block] = mean_block_score(score, grid, block);
}

__global__ void __launch_bounds__(chunk_threads)
    spread_kernel(const uint8_t* block_mask, BlockGrid grid, uint8_t* mask) {
  const int64_t size = grid.rows * grid.columns, stride = int64_t{gridDim.x} * chunk_threads;
  for (int64_t i = int64_t{blockIdx.x} * chunk_threads + threadIdx.x; i < size; i += stride) {
    const int64_t row = i / grid.columns, column = i % grid.columns;
    mask[i] = block_mask[row / grid.block_rows * grid.across() + column / grid.block_columns];
  }
}

}  // namespace

void score_blocks(void* stream, const float* score, BlockGrid grid, float* block_score) {
  const int64_t blocks = grid.down() * grid.across();
  PARE_LAUNCH(score_blocks_kernel, stride_grid((blocks + chunk_threads - 1) / chunk_threads, 8), chunk_threads, stream,
              score, grid, block_score);
}

void spread_block_mask(void* stream, const uint8_t* block_mask, BlockGrid grid, uint8_t* mask) {
  const int64_t size = grid.rows * grid.columns;
  PARE_LAUNCH(spread_kernel, stride_grid((size + chunk_elements - 1) / chunk_elements, 8), chunk_threads, stream,
              block_mask, grid, mask);
}

}  // namespace pare::kernels::cuda
