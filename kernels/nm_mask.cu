// N:M masks.
//
// Cost a weight: 4 B score read, 1 B mask written. For 2:4 along contiguous memory a thread takes one group with a
// 16-byte load and a 4-byte store and compares its six pairs in registers. Any other pattern or axis: a thread takes
// one element and reads its group, m loads that its neighbours share in the first-level cache; neighbouring threads are
// neighbours in memory, so the loads of a step are coalesced whatever the axis. 256 threads, eight blocks a
// multiprocessor, no shared memory: the 2:4 form should run at the bandwidth of a copy, the general form near it up to
// m = 8, and slower beyond.
#include "kernels/nm_mask.hpp"
#include "kernels/nm_mask_math.hpp"
#include "kernels/tensor_list.hpp"

namespace pare::kernels::cuda {
namespace {

__global__ void __launch_bounds__(chunk_threads) two_of_four_kernel(const float* score, int64_t groups, uint8_t* mask) {
  const int64_t stride = int64_t{gridDim.x} * chunk_threads;
  for (int64_t g = int64_t{blockIdx.x} * chunk_threads + threadIdx.x; g < groups; g += stride) {
    const float4 s = *reinterpret_cast<const float4*>(score + 4 * g);
    *reinterpret_cast<uint32_t*>(mask + 4 * g) =
        keep_two_of_four(ordered_key(s.x), ordered_key(s.y), ordered_key(s.z), ordered_key(s.w));
  }
}

__global__ void __launch_bounds__(chunk_threads)
    nm_kernel(const float* score, AxisView view, int n, int m, uint8_t* mask) {
  const int64_t size = view.outer * view.length * view.inner, stride = int64_t{gridDim.x} * chunk_threads;
  for (int64_t i = int64_t{blockIdx.x} * chunk_threads + threadIdx.x; i < size; i += stride) {
    const int64_t place = i / view.inner % view.length;  // along the axis
    const int j = static_cast<int>(place % m);
    const int64_t left = view.length - (place - j);
    const int count = left < m ? static_cast<int>(left) : m;
    mask[i] = is_kept_in_group(score + i - j * view.inner, view.inner, count, n, j) ? 1 : 0;
  }
}

}  // namespace

void write_nm_masks(void* stream, const float* score, AxisView view, int n, int m, uint8_t* mask) {
  const int64_t size = view.outer * view.length * view.inner;
  const unsigned grid = stride_grid((size + chunk_elements - 1) / chunk_elements, 8);
  const bool wide = reinterpret_cast<uintptr_t>(score) % 16 == 0 && reinterpret_cast<uintptr_t>(mask) % 4 == 0;
  if (wide && view.inner == 1 && n == 2 && m == 4 && view.length % 4 == 0) {
    PARE_LAUNCH(two_of_four_kernel, grid, chunk_threads, stream, score, size / 4, mask);
  } else {
    PARE_LAUNCH(nm_kernel, grid, chunk_threads, stream, score, view, n, m, mask);
  }
}

}  // namespace pare::kernels::cuda
