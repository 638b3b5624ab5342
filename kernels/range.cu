// Range, histogram and per-channel magnitude of observed values.
//
// Range: 4 B (2 B) read a value; each thread keeps its bounds in registers, a warp joins them by shuffles, and one
// atomic per warp and bound ends it. Histogram: the same read, then a second one that counts into 8 KB of shared
// counters, where lanes that share the first lane's bin (the zeros of a ReLU) are counted by one of them; between the
// two, one block widens the grid in place, so that nothing waits for the host. Activations of a batch mostly fit the
// second-level cache, so the second read is cheap. Channels: rows of neighbours are read by a warp each and end in one
// atomic; a channel axis that is last is read by columns, coalesced, one atomic a thread. All atomics are integer
// maxima and sums: the result does not depend on order. 256 threads, eight blocks a multiprocessor; each read should
// run at 80 % of the read bandwidth, the counting one at 60 %.
#include "kernels/block_scan.hpp"
#include "kernels/range.hpp"
#include "kernels/range_math.hpp"
#include "kernels/tensor_list.hpp"

namespace pare::kernels::cuda {
namespace {

using Count = unsigned long long;
constexpr int threads = chunk_threads;

// Calls visit(value, inside) for every element, four a thread and step; all threads of a warp make the same steps, with
// `inside` false past the end.
template <class Visit>
__device__ void for_each_value(const Observed& observed, const Visit& visit) {
  const bool wide = aligned_to_four(observed.values, observed.type);
  const int64_t stride = int64_t{gridDim.x} * threads * 4;
  for (int64_t first = int64_t{blockIdx.x} * threads * 4; first < observed.size; first += stride) {
    const int64_t i = first + 4 * threadIdx.x;
    float4 v{0.0f, 0.0f, 0.0f, 0.0f};
    if (wide && i + 4 <= observed.size) {
      v = load_four(observed.values, observed.type, i);
    } else {
      if (i < observed.size) v.x = load_float(observed.values, observed.type, i);
      if (i + 1 < observed.size) v.y = load_float(observed.values, observed.type, i + 1);
      if (i + 2 < observed.size) v.z = load_float(observed.values, observed.type, i + 2);
      if (i + 3 < observed.size) v.w = load_float(observed.values, observed.type, i + 3);
    }
    visit(v.x, i < observed.size);
    visit(v.y, i + 1 < observed.size);
    visit(v.z, i + 2 < observed.size);
    visit(v.w, i + 3 < observed.size);
  }
}

__global__ void __launch_bounds__(threads) range_kernel(Observed observed, ValueRange* range) {
  uint32_t lowest = 0xffffffffu, highest = 0, non_finite = 0;
  for_each_value(observed, [&](float value, bool inside) {
    const bool finite = is_finite(value);
    const uint32_t key = ordered_key(value);
    if (inside && finite && key < lowest) lowest = key;
    if (inside && finite && key > highest) highest = key;
    if (inside && !finite) ++non_finite;
  });
  for (unsigned step = 16; step > 0; step /= 2) {
    const uint32_t other_lowest = __shfl_xor_sync(full_warp, lowest, step);
    const uint32_t other_highest = __shfl_xor_sync(full_warp, highest, step);
    if (other_lowest < lowest) lowest = other_lowest;
    if (other_highest > highest) highest = other_highest;
    non_finite += __shfl_xor_sync(full_warp, non_finite, step);
  }
  if (threadIdx.x % 32 != 0) return;
  atomicMin(&range->lowest, lowest);
  atomicMax(&range->highest, highest);
  if (non_finite != 0) atomicAdd(&range->non_finite, static_cast<Count>(non_finite));
}

// One block of 1,024 threads: merges the counts into the grid of the range as it is now.
__global__ void __launch_bounds__(1024) widen_kernel(Histogram* histogram) {
  if (histogram->range.empty()) return;
  const BinGrid grid = grid_of(histogram->range);
  Count counts[2];
  int64_t places[2] = {0, 0};
  for (int half = 0; half < 2; ++half) {
    const int64_t i = threadIdx.x + half * 1024;
    counts[half] = histogram->counts[i];
    if (counts[half] != 0) places[half] = widened_bin(*histogram, i, grid);
  }
  __syncthreads();
  for (int half = 0; half < 2; ++half) histogram->counts[threadIdx.x + half * 1024] = 0;
  if (threadIdx.x == 0) {
    histogram->exponent = grid.exponent;
    histogram->first = grid.first;
  }
  __syncthreads();
  for (int half = 0; half < 2; ++half)
    if (counts[half] != 0) atomicAdd(&histogram->counts[places[half]], counts[half]);
}

__global__ void __launch_bounds__(threads) count_kernel(Observed observed, Histogram* histogram) {
  PARE_SHARED(unsigned, bins, histogram_bins);
  if (histogram->range.empty()) return;
  for (int bin = threadIdx.x; bin < histogram_bins; bin += threads) bins[bin] = 0;
  __syncthreads();
  const float width = power_of_two(histogram->exponent), inverse_width = power_of_two(-histogram->exponent);
  const int32_t first_bin = static_cast<int32_t>(histogram->first);
  for_each_value(observed, [&](float value, bool inside) {
    const bool counts = inside && is_finite(value);
    const int32_t bin = counts ? grid_index(value, width, inverse_width) - first_bin : -1;
    const int32_t leader = __shfl_sync(full_warp, bin, 0);
    const unsigned same = __ballot_sync(full_warp, bin == leader);
    if (!counts) return;
    if (bin != leader) {
      atomicAdd(&bins[bin], 1u);
    } else if (threadIdx.x % 32 == 0) {
      atomicAdd(&bins[bin], static_cast<unsigned>(__popc(same)));
    }
  });
  __syncthreads();
  for (int bin = threadIdx.x; bin < histogram_bins; bin += threads)
    if (bins[bin] != 0) atomicAdd(&histogram->counts[bin], static_cast<Count>(bins[bin]));
}

__device__ void raise_absmax(float* absmax, uint32_t bits) {
  atomicMax(reinterpret_cast<unsigned*>(absmax), bits);  // as integers, non-negative floats keep their order
}

__device__ uint32_t magnitude_bits(const Observed& observed, int64_t i) {
  return float_bits(load_float(observed.values, observed.type, i)) & 0x7fffffffu;
}

// A warp takes a row of `inner` neighbours.
__global__ void __launch_bounds__(threads)
    row_absmax_kernel(Observed observed, int64_t channels, int64_t inner, float* absmax) {
  const int64_t rows = observed.size / inner, stride = int64_t{gridDim.x} * (threads / 32);
  for (int64_t row = int64_t{blockIdx.x} * (threads / 32) + threadIdx.x / 32; row < rows; row += stride) {
    uint32_t largest = 0;
    for (int64_t i = threadIdx.x % 32; i < inner; i += 32) {
      const uint32_t bits = magnitude_bits(observed, row * inner + i);
      if (bits > largest) largest = bits;
    }
    for (unsigned step = 16; step > 0; step /= 2) {
      const uint32_t other = __shfl_xor_sync(full_warp, largest, step);
      if (other > largest) largest = other;
    }
    if (threadIdx.x % 32 == 0) raise_absmax(absmax + row % channels, largest);
  }
}

// A thread takes a column: every `columns`-th element from its own on, within the rows of its slice.
__global__ void __launch_bounds__(threads) column_absmax_kernel(Observed observed, int64_t channels, int64_t inner,
                                                                int64_t rows_per_slice, int64_t work, float* absmax) {
  const int64_t columns = channels * inner, rows = observed.size / columns;
  const int64_t stride = int64_t{gridDim.x} * threads;
  for (int64_t w = int64_t{blockIdx.x} * threads + threadIdx.x; w < work; w += stride) {
    const int64_t column = w % columns, first = w / columns * rows_per_slice;
    uint32_t largest = 0;
    for (int64_t row = first; row < first + rows_per_slice && row < rows; ++row) {
      const uint32_t bits = magnitude_bits(observed, row * columns + column);
      if (bits > largest) largest = bits;
    }
    raise_absmax(absmax + column / inner, largest);
  }
}

unsigned grid_for(int64_t elements) { return stride_grid((elements + chunk_elements - 1) / chunk_elements, 8); }

}  // namespace

void observe_range(void* stream, const Observed& observed, ValueRange* range) {
  if (observed.size > 0) PARE_LAUNCH(range_kernel, grid_for(observed.size), threads, stream, observed, range);
}

void observe_histogram(void* stream, const Observed& observed, Histogram* histogram) {
  if (observed.size == 0) return;
  observe_range(stream, observed, &histogram->range);
  PARE_LAUNCH(widen_kernel, 1, 1024, stream, histogram);
  PARE_LAUNCH(count_kernel, grid_for(observed.size), threads, stream, observed, histogram);
}

void observe_channel_absmax(void* stream, const Observed& observed, int64_t channels, int64_t inner, float* absmax) {
  if (inner >= 32) {
    const int64_t rows = observed.size / inner;
    PARE_LAUNCH(row_absmax_kernel, stride_grid((rows + threads / 32 - 1) / (threads / 32), 8), threads, stream,
                observed, channels, inner, absmax);
    return;
  }
  constexpr int64_t rows_per_slice = 64;
  const int64_t columns = channels * inner, rows = observed.size / columns;
  const int64_t work = columns * ((rows + rows_per_slice - 1) / rows_per_slice);
  PARE_LAUNCH(column_absmax_kernel, stride_grid((work + threads - 1) / threads, 8), threads, stream, observed, channels,
              inner, rows_per_slice, work, absmax);
}

}  // namespace pare::kernels::cuda
