// Prefix sums over the threads of a block, by warp shuffles. Included by .cu files only.
#pragma once

#include <cstdint>

#include "kernels/launch.hpp"

namespace pare::kernels::cuda {

inline constexpr unsigned full_warp = 0xffffffffu;

// Sum of `value` over the threads before this one; `total` becomes the sum over all. Every thread of the block calls
// it, blockDim.x is a multiple of 32 and at most 1024.
__device__ inline unsigned long long block_exclusive_scan(unsigned long long value, unsigned long long& total) {
  PARE_SHARED(unsigned long long, warp_sums, 32);
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  unsigned long long inclusive = value;
  for (unsigned step = 1; step < 32; step *= 2) {
    const unsigned long long below = __shfl_up_sync(full_warp, inclusive, step);
    if (lane >= step) inclusive += below;
  }
  if (lane == 31) warp_sums[warp] = inclusive;
  __syncthreads();
  unsigned long long before = 0;
  total = 0;
  for (unsigned w = 0; w < warps; ++w) {
    const unsigned long long sum = warp_sums[w];
    if (w < warp) before += sum;
    total += sum;
  }
  __syncthreads();  // the next call writes warp_sums again
  return before + inclusive - value;
}

}  // namespace pare::kernels::cuda
