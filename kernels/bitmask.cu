// Masks as bits, and the kept values without the gaps.
//
// pack, unpack, nonzero: a thread makes or reads one byte of bits, with 8-byte accesses to the bytes of a mask where
// aligned: 1.125 B a weight (4.125 B for nonzero on fp32). gather and scatter: 1/8 B of bits read twice, then each kept
// element read once and written once; a warp takes 32 neighbours at a time, so that both sides are coalesced, and the
// place in the compact array is a sum over earlier chunks (one small kernel), words of the chunk (a block scan) and
// lanes (a popcount). 256 threads, 1 KB of shared memory, eight blocks a multiprocessor; all should run near the
// bandwidth of a copy.
#include "kernels/bitmask.hpp"
#include "kernels/block_scan.hpp"
#include "kernels/tensor_list.hpp"

namespace pare::kernels::cuda {
namespace {

using Count = unsigned long long;
constexpr int chunk_words = chunk_elements / 32;

__global__ void __launch_bounds__(chunk_threads) pack_bits_kernel(const uint8_t* mask, int64_t size, uint8_t* bits) {
  const int64_t bytes = bitmask_bytes(size), stride = int64_t{gridDim.x} * chunk_threads;
  const bool wide = aligned(mask, 8);
  for (int64_t b = int64_t{blockIdx.x} * chunk_threads + threadIdx.x; b < bytes; b += stride) {
    unsigned long long word = 0;
    if (wide && 8 * b + 8 <= size) {
      word = *reinterpret_cast<const unsigned long long*>(mask + 8 * b);
    } else {
      for (int i = 0; i < 8 && 8 * b + i < size; ++i)
        word |= static_cast<unsigned long long>(mask[8 * b + i]) << (8 * i);
    }
    bits[b] = static_cast<uint8_t>((word * 0x0102040810204080ull) >> 56);
  }
}

__global__ void __launch_bounds__(chunk_threads) unpack_bits_kernel(const uint8_t* bits, int64_t size, uint8_t* mask) {
  const int64_t bytes = bitmask_bytes(size), stride = int64_t{gridDim.x} * chunk_threads;
  const bool wide = aligned(mask, 8);
  for (int64_t b = int64_t{blockIdx.x} * chunk_threads + threadIdx.x; b < bytes; b += stride) {
    if (wide && 8 * b + 8 <= size) {
      const unsigned long long spread = (bits[b] * 0x0101010101010101ull) & 0x8040201008040201ull;
      *reinterpret_cast<unsigned long long*>(mask + 8 * b) =
          ((spread + 0x7f7f7f7f7f7f7f7full) >> 7) & 0x0101010101010101ull;
    } else {
      for (int i = 0; i < 8 && 8 * b + i < size; ++i) mask[8 * b + i] = bits[b] >> i & 1;
    }
  }
}

template <class Element>
__global__ void __launch_bounds__(chunk_threads)
    nonzero_bits_kernel(const Element* values, int64_t size, uint8_t* bits) {
  const int64_t bytes = bitmask_bytes(size), stride = int64_t{gridDim.x} * chunk_threads;
  for (int64_t b = int64_t{blockIdx.x} * chunk_threads + threadIdx.x; b < bytes; b += stride) {
    unsigned byte = 0;
    for (int i = 0; i < 8 && 8 * b + i < size; ++i) byte |= (values[8 * b + i] != 0 ? 1u : 0u) << i;
    bits[b] = static_cast<uint8_t>(byte);
  }
}

// The 32 bits from bit 32 * word on, zero past `size`.
__device__ unsigned load_word(const uint8_t* bits, int64_t size, int64_t word) {
  unsigned value = 0;
  for (int b = 0; b < 4; ++b) {
    const int64_t first = 32 * word + 8 * b;
    if (first < size) value |= static_cast<unsigned>(bits[first / 8]) << (8 * b);
  }
  const int64_t left = size - 32 * word;
  if (left <= 0) return 0;
  return left < 32 ? value & ((1u << left) - 1) : value;
}

// ones[c] = ones of chunk c.
__global__ void __launch_bounds__(chunk_threads) count_chunks_kernel(const uint8_t* bits, int64_t size, Count* ones) {
  for (int64_t c = blockIdx.x; c * chunk_elements < size; c += gridDim.x) {
    Count own = 0, total = 0;
    if (threadIdx.x < chunk_words) own = __popc(load_word(bits, size, c * chunk_words + threadIdx.x));
    block_exclusive_scan(own, total);
    if (threadIdx.x == 0) ones[c] = total;
  }
}

// One block: ones[c] becomes the ones before chunk c, ones[chunks] their total.
__global__ void __launch_bounds__(1024) scan_chunks_kernel(Count* ones, int64_t chunks) {
  Count before = 0, total = 0;
  for (int64_t first = 0; first < chunks; first += 1024) {
    const int64_t c = first + threadIdx.x;
    const Count own = c < chunks ? ones[c] : 0;
    const Count within = block_exclusive_scan(own, total);
    if (c < chunks) ones[c] = before + within;
    before += total;
  }
  if (threadIdx.x == 0) ones[chunks] = before;
}

// gather: kept[place] = values[i]; scatter: values[i] = kept[place], or 0 where the bit is 0.
template <class Element, bool gather>
__global__ void __launch_bounds__(chunk_threads)
    move_kept_kernel(Element* values, int64_t size, const uint8_t* bits, const Count* ones_before, Element* kept) {
  PARE_SHARED(Count, word_place, chunk_words);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (int64_t c = blockIdx.x; c * chunk_elements < size; c += gridDim.x) {
    Count own = 0, total = 0;
    if (threadIdx.x < chunk_words) own = __popc(load_word(bits, size, c * chunk_words + threadIdx.x));
    const Count before = block_exclusive_scan(own, total);  // its barriers end the reads of the last chunk's places
    if (threadIdx.x < chunk_words) word_place[threadIdx.x] = ones_before[c] + before;
    __syncthreads();
    for (int w = warp; w < chunk_words; w += chunk_threads / 32) {
      const int64_t i = c * chunk_elements + 32 * w + lane;
      const unsigned word = load_word(bits, size, c * chunk_words + w);
      const bool is_kept = (word >> lane & 1u) != 0;
      const Count place = word_place[w] + __popc(word & ((1u << lane) - 1));
      if constexpr (gather) {
        if (is_kept) kept[place] = values[i];
      } else {
        if (i < size) values[i] = is_kept ? kept[place] : Element{0};
      }
    }
  }
}

int64_t chunk_count(int64_t size) { return (size + chunk_elements - 1) / chunk_elements; }

// Ones before every chunk of `bits`, and their total.
class ChunkOnes {
 public:
  ChunkOnes(void* stream, const uint8_t* bits, int64_t size)
      : chunks_(chunk_count(size)), scratch_(stream, static_cast<size_t>(chunks_ + 1) * sizeof(Count)) {
    PARE_LAUNCH(count_chunks_kernel, stride_grid(chunks_, 8), chunk_threads, stream, bits, size, before());
    PARE_LAUNCH(scan_chunks_kernel, 1, 1024, stream, before(), chunks_);
  }
  Count* before() const { return scratch_.at<Count>(); }
  int64_t total(void* stream) const { return static_cast<int64_t>(download(stream, before() + chunks_)); }

 private:
  int64_t chunks_;
  Scratch scratch_;
};

template <bool gather>
void move_kept(void* stream, void* values, int element_size, int64_t size, const uint8_t* bits, const ChunkOnes& ones,
               void* kept) {
  const unsigned grid = stride_grid(chunk_count(size), 8);
  const auto move = [&](auto element) {
    using Element = decltype(element);
    PARE_LAUNCH((move_kept_kernel<Element, gather>), grid, chunk_threads, stream, static_cast<Element*>(values), size,
                bits, ones.before(), static_cast<Element*>(kept));
  };
  switch (element_size) {
    case 1:
      move(uint8_t{});
      break;
    case 2:
      move(uint16_t{});
      break;
    case 4:
      move(uint32_t{});
      break;
    default:
      move(uint64_t{});
      break;
  }
}

}  // namespace

void pack_bits(void* stream, const uint8_t* mask, int64_t size, uint8_t* bits) {
  if (size == 0) return;
  PARE_LAUNCH(pack_bits_kernel, stride_grid(chunk_count(size), 8), chunk_threads, stream, mask, size, bits);
}

void unpack_bits(void* stream, const uint8_t* bits, int64_t size, uint8_t* mask) {
  if (size == 0) return;
  PARE_LAUNCH(unpack_bits_kernel, stride_grid(chunk_count(size), 8), chunk_threads, stream, bits, size, mask);
}

void nonzero_bits(void* stream, const void* values, int element_size, int64_t size, uint8_t* bits) {
  if (size == 0) return;
  const unsigned grid = stride_grid(chunk_count(size), 8);
  const auto test = [&](auto element) {
    using Element = decltype(element);
    PARE_LAUNCH(nonzero_bits_kernel<Element>, grid, chunk_threads, stream, static_cast<const Element*>(values), size,
                bits);
  };
  switch (element_size) {
    case 1:
      test(uint8_t{});
      break;
    case 2:
      test(uint16_t{});
      break;
    case 4:
      test(uint32_t{});
      break;
    default:
      test(uint64_t{});
      break;
  }
}

int64_t gather_kept(void* stream, const void* values, int element_size, int64_t size, const uint8_t* bits, void* kept) {
  if (size == 0) return 0;
  const ChunkOnes ones(stream, bits, size);
  move_kept<true>(stream, const_cast<void*>(values), element_size, size, bits, ones, kept);
  return ones.total(stream);
}

void scatter_kept(void* stream, const void* kept, int element_size, int64_t size, const uint8_t* bits, void* values) {
  if (size == 0) return;
  const ChunkOnes ones(stream, bits, size);
  move_kept<false>(stream, values, element_size, size, bits, ones, const_cast<void*>(kept));
}

int64_t count_bits(void* stream, const uint8_t* bits, int64_t size) {
  return size == 0 ? 0 : ChunkOnes(stream, bits, size).total(stream);
}

}  // namespace pare::kernels::cuda
