// Exact selection of the k smallest scores: radix selection with digits of 13 and 19 bits.
//
// Cost a score: 4 B read by count_high, 4 B by count_low, and 4 B by count_ties only when a tie at the threshold must
// be split. The rest (finding digits, 4 MB of counters cleared and looked up) does not grow with the scores.
//   count_high: 32 KB of shared counters and 512 threads, so four blocks fill a multiprocessor of sm_90 (2,048 threads,
//     128 KB); a thread loads 16 B at a time. Shared atomics on one address serialise within a warp, so the lanes that
//     share the first lane's digit (the zeros of a pruned model) are counted by one of them.
//   count_low: a comparison. Real scores have a few hundredths in one 13-bit bin (sign, exponent and 4 bits of
//     mantissa), and only these touch the counters in the second-level cache, lanes with the same digit again as one.
// Both should run at 60 % or more of the bandwidth of a copy. All counts are integers: the order of the atomics is no
// matter. One copy of 40 bytes to the host, and one wait, at the end.
#include <limits>

#include "kernels/block_scan.hpp"
#include "kernels/tensor_list.hpp"
#include "kernels/threshold.hpp"
#include "kernels/threshold_math.hpp"

namespace pare::kernels::cuda {
namespace {

using Count = unsigned long long;
using List = TensorListView<ScoreView>;

constexpr int low_bits = 19, coarse_shift = 9;
constexpr int high_bins = 1 << (32 - low_bits), low_bins = 1 << low_bits, coarse_bins = low_bins >> coarse_shift;
constexpr int count_threads = 512, find_threads = 1024;
constexpr uint32_t no_bin = 0xffffffffu;
constexpr Count no_tensor = ~Count{0};

// What the kernels hand on to each other.
struct State {
  Count rank;        // of the wanted score among those that share the digits found so far
  Count equal;       // scores equal to the threshold
  Count nan_tensor;  // first tensor with a NaN, or no_tensor
  Count cut_index;
  uint32_t key;  // the digits found so far
};

struct Counters {
  Count high[high_bins];
  Count coarse[coarse_bins];
  Count low[low_bins];
  State state;
};

// Adds one to counters[bin] for every lane whose bin is not no_bin. All lanes of the warp call it.
template <class Add>
__device__ void count_warp(uint32_t bin, const Add& add) {
  const uint32_t first = __shfl_sync(full_warp, bin, 0);
  const unsigned same = __ballot_sync(full_warp, bin == first);
  if (bin == no_bin) return;
  if (bin != first) {
    add(bin, 1);
  } else if (threadIdx.x % 32 == 0) {
    add(bin, __popc(same));
  }
}

// As count_warp, but all equal bins are counted at once: for bins in global memory, of which a warp meets few.
template <class Add>
__device__ void count_warp_by_value(uint32_t bin, const Add& add) {
  unsigned left = __ballot_sync(full_warp, bin != no_bin);
  while (left != 0) {
    const int leader = __ffs(left) - 1;
    const uint32_t value = __shfl_sync(full_warp, bin, leader);
    const unsigned same = __ballot_sync(full_warp, bin == value);
    if (static_cast<int>(threadIdx.x % 32) == leader) add(value, __popc(same));
    left &= ~same;
  }
}

// Calls visit(score, inside) for the elements of a chunk, four a thread and step; all threads make the same steps, with
// `inside` false past the end.
template <class Visit>
__device__ void for_each_score(const ScoreView& tensor, const Chunk& chunk, const Visit& visit) {
  const bool wide = aligned(tensor.score, 16);
  for (int64_t first = chunk.begin; first < chunk.end; first += 4 * count_threads) {
    const int64_t i = first + 4 * threadIdx.x;
    float4 s{0.0f, 0.0f, 0.0f, 0.0f};
    if (wide && i + 4 <= chunk.end) {
      s = *reinterpret_cast<const float4*>(tensor.score + i);
    } else {
      if (i < chunk.end) s.x = tensor.score[i];
      if (i + 1 < chunk.end) s.y = tensor.score[i + 1];
      if (i + 2 < chunk.end) s.z = tensor.score[i + 2];
      if (i + 3 < chunk.end) s.w = tensor.score[i + 3];
    }
    visit(s.x, i < chunk.end);
    visit(s.y, i + 1 < chunk.end);
    visit(s.z, i + 2 < chunk.end);
    visit(s.w, i + 3 < chunk.end);
  }
}

__global__ void __launch_bounds__(count_threads) count_high_kernel(List list, Counters* counters) {
  PARE_SHARED(unsigned, bins, high_bins);
  for (int bin = threadIdx.x; bin < high_bins; bin += count_threads) bins[bin] = 0;
  __syncthreads();
  for (int64_t c = blockIdx.x; c < list.chunks; c += gridDim.x) {
    const Chunk chunk = list.chunk(c);
    bool nan = false;
    for_each_score(list.tensors[chunk.tensor], chunk, [&](float score, bool inside) {
      nan = nan || (inside && is_nan(score));
      count_warp(inside ? ordered_key(score) >> low_bits : no_bin,
                 [&](uint32_t bin, unsigned n) { atomicAdd(&bins[bin], n); });
    });
    if (nan) atomicMin(&counters->state.nan_tensor, static_cast<Count>(chunk.tensor));
  }
  __syncthreads();
  for (int bin = threadIdx.x; bin < high_bins; bin += count_threads)
    if (bins[bin] != 0) atomicAdd(&counters->high[bin], static_cast<Count>(bins[bin]));
}

// The bin of the wanted rank among bins[0 .. bins_per_thread * blockDim.x), and the rank within it, for all threads of
// the one block.
__device__ uint32_t find_bin(const Count* bins, int bins_per_thread, Count rank, Count& rank_in_bin) {
  PARE_SHARED(Count, found, 2);
  const Count* own = bins + static_cast<int64_t>(threadIdx.x) * bins_per_thread;
  Count sum = 0, total = 0;
  for (int b = 0; b < bins_per_thread; ++b) sum += own[b];
  Count before = block_exclusive_scan(sum, total);
  if (rank >= before && rank < before + sum) {  // one thread
    int b = 0;
    for (; rank >= before + own[b]; ++b) before += own[b];
    found[0] = threadIdx.x * bins_per_thread + b;
    found[1] = rank - before;
  }
  __syncthreads();
  const uint32_t bin = static_cast<uint32_t>(found[0]);
  rank_in_bin = found[1];
  __syncthreads();  // the next call writes `found` again
  return bin;
}

__global__ void __launch_bounds__(find_threads) find_high_kernel(Counters* counters, Count rank) {
  Count rank_in_bin = 0;
  const uint32_t bin = find_bin(counters->high, high_bins / find_threads, rank, rank_in_bin);
  if (threadIdx.x != 0) return;
  counters->state.key = bin << low_bits;
  counters->state.rank = rank_in_bin;
}

__global__ void __launch_bounds__(count_threads) count_low_kernel(List list, Counters* counters) {
  const uint32_t high = counters->state.key >> low_bits;
  for (int64_t c = blockIdx.x; c < list.chunks; c += gridDim.x) {
    const Chunk chunk = list.chunk(c);
    for_each_score(list.tensors[chunk.tensor], chunk, [&](float score, bool inside) {
      const uint32_t key = ordered_key(score);
      const uint32_t bin = inside && key >> low_bits == high ? key & (low_bins - 1) : no_bin;
      count_warp_by_value(bin, [&](uint32_t low, unsigned n) {
        atomicAdd(&counters->low[low], static_cast<Count>(n));
        atomicAdd(&counters->coarse[low >> coarse_shift], static_cast<Count>(n));
      });
    });
  }
}

__global__ void __launch_bounds__(find_threads) find_low_kernel(Counters* counters, Count elements) {
  State& state = counters->state;
  Count rank = state.rank;
  const uint32_t coarse = find_bin(counters->coarse, coarse_bins / find_threads, rank, rank);
  const Count* fine = counters->low + (static_cast<int64_t>(coarse) << coarse_shift);
  PARE_SHARED(Count, found, 2);
  const int bins = 1 << coarse_shift;
  const Count own = threadIdx.x < bins ? fine[threadIdx.x] : 0;
  Count total = 0;
  const Count before = block_exclusive_scan(own, total);
  if (rank >= before && rank < before + own) {  // one thread
    found[0] = threadIdx.x;
    found[1] = rank - before;
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  const uint32_t bin = static_cast<uint32_t>(found[0]);
  state.key |= (coarse << coarse_shift) | bin;
  state.rank = found[1];
  state.equal = fine[bin];
  state.cut_index = elements;
}

// Whether only some of the scores equal to the threshold are selected. After a NaN the threshold means nothing.
__device__ bool splits_tie(const State& state) { return state.rank + 1 < state.equal && state.nan_tensor == no_tensor; }

// equal[c] = scores of chunk c that equal the threshold.
__global__ void __launch_bounds__(count_threads) count_ties_kernel(List list, const Counters* counters, Count* equal) {
  if (!splits_tie(counters->state)) return;
  const float threshold = key_value(counters->state.key);
  for (int64_t c = blockIdx.x; c < list.chunks; c += gridDim.x) {
    const Chunk chunk = list.chunk(c);
    Count count = 0, total = 0;
    for_each_score(list.tensors[chunk.tensor], chunk,
                   [&](float score, bool inside) { count += inside && score == threshold ? 1 : 0; });
    block_exclusive_scan(count, total);
    if (threadIdx.x == 0) equal[c] = total;
  }
}

// One block: the global index after the (state.rank + 1)-th score that equals the threshold.
__global__ void __launch_bounds__(find_threads) find_cut_kernel(List list, Counters* counters, const Count* equal) {
  State& state = counters->state;
  if (!splits_tie(state)) return;
  const float threshold = key_value(state.key);
  PARE_SHARED(Count, found, 2);  // the chunk and the rank within it
  Count rank = state.rank, total = 0;
  for (int64_t first = 0; first < list.chunks; first += find_threads) {
    const int64_t c = first + threadIdx.x;
    const Count own = c < list.chunks ? equal[c] : 0;
    const Count before = block_exclusive_scan(own, total);
    if (rank >= before && rank < before + own) {  // one thread
      found[0] = static_cast<Count>(c);
      found[1] = rank - before;
    }
    if (rank < total) break;
    rank -= total;
  }
  __syncthreads();
  const Chunk chunk = list.chunk(static_cast<int64_t>(found[0]));
  rank = found[1];
  const float* score = list.tensors[chunk.tensor].score;
  for (int64_t first = chunk.begin; first < chunk.end; first += find_threads) {
    const int64_t i = first + threadIdx.x;
    const Count own = i < chunk.end && score[i] == threshold ? 1 : 0;
    const Count before = block_exclusive_scan(own, total);
    if (own == 1 && before == rank) state.cut_index = static_cast<Count>(chunk.global_offset + i + 1);
    if (rank < total) break;
    rank -= total;
  }
}

}  // namespace

Selection select_smallest(void* stream, std::span<const ScoreView> scores, int64_t k, int64_t& nan_tensor) {
  nan_tensor = -1;
  const Selection nothing{-std::numeric_limits<float>::infinity(), 0, 0};
  const TensorList<ScoreView> list(stream, scores);
  if (list.chunks() == 0) return nothing;

  const Scratch scratch(stream, sizeof(Counters));
  const Scratch equal(stream, static_cast<size_t>(list.chunks()) * sizeof(Count));
  Counters* counters = scratch.at<Counters>();
  set_bytes(stream, counters, 0, sizeof(Counters));
  set_bytes(stream, &counters->state.nan_tensor, 0xff, sizeof(Count));

  const unsigned grid = stride_grid(list.chunks(), 4);
  const Count elements = static_cast<Count>(list.elements());
  PARE_LAUNCH(count_high_kernel, grid, count_threads, stream, list.view(), counters);
  if (k > 0) {
    PARE_LAUNCH(find_high_kernel, 1, find_threads, stream, counters, static_cast<Count>(k - 1));
    PARE_LAUNCH(count_low_kernel, grid, count_threads, stream, list.view(), counters);
    PARE_LAUNCH(find_low_kernel, 1, find_threads, stream, counters, elements);
    PARE_LAUNCH(count_ties_kernel, grid, count_threads, stream, list.view(), counters, equal.at<Count>());
    PARE_LAUNCH(find_cut_kernel, 1, find_threads, stream, list.view(), counters, equal.at<Count>());
  }
  const State state = download(stream, &counters->state);
  if (state.nan_tensor != no_tensor) nan_tensor = static_cast<int64_t>(state.nan_tensor);
  if (k == 0 || nan_tensor >= 0) return nothing;
  return {key_value(state.key), static_cast<int64_t>(state.cut_index), k};
}

}  // namespace pare::kernels::cuda
