// Quantization of weights and back, and packing of 4-bit integers.
//
// quantize: 4 B read, 1 B written a weight, and the scales from the cache. A thread takes one element, a warp 32
// neighbours: 128 B read and 32 B written at a time. Finding the scale costs two or three 64-bit divisions, more time
// than the memory takes: expected at a quarter to a half of the bandwidth of a copy. dequantize: the same bytes the
// other way. pack and unpack: 1.5 B a weight, eight integers a thread with 8- and 4-byte accesses where aligned, near
// the bandwidth of a copy. 256 threads, eight blocks a multiprocessor, no shared memory. All run once a layer, not once
// a step.
#include "kernels/quantize.hpp"
#include "kernels/quantize_math.hpp"
#include "kernels/tensor_list.hpp"

namespace pare::kernels::cuda {
namespace {

constexpr int threads = chunk_threads;

struct Scaling {
  ScaleLayout layout;
  const float* scale;
  const uint8_t* zero_point;
  IntegerType type;
};

struct OneScale {
  float scale;
  int zero_point;
};

__device__ OneScale scale_of(const Scaling& scaling, int64_t i) {
  const AxisView& view = scaling.layout.view;
  const int64_t row = i / view.inner;
  const int64_t index = scaling.layout.scale_index(row / view.length, row % view.length, i - row * view.inner);
  const int zero = scaling.zero_point == nullptr ? 0 : integer_value(scaling.zero_point[index], scaling.type);
  return {scaling.scale[index], zero};
}

__global__ void __launch_bounds__(threads) quantize_kernel(const float* values, Scaling scaling, uint8_t* quantized) {
  const int64_t size = scaling.layout.size(), stride = int64_t{gridDim.x} * threads;
  const int lowest = lowest_integer(scaling.type), highest = highest_integer(scaling.type);
  for (int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x; i < size; i += stride) {
    const OneScale one = scale_of(scaling, i);
    quantized[i] = quantize_one(values[i], one.scale, one.zero_point, lowest, highest);
  }
}

__global__ void __launch_bounds__(threads) dequantize_kernel(const uint8_t* quantized, Scaling scaling, float* values) {
  const int64_t size = scaling.layout.size(), stride = int64_t{gridDim.x} * threads;
  for (int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x; i < size; i += stride) {
    const OneScale one = scale_of(scaling, i);
    values[i] = dequantize_one(integer_value(quantized[i], scaling.type), one.scale, one.zero_point);
  }
}

__global__ void __launch_bounds__(threads) pack_nibbles_kernel(const uint8_t* integers, int64_t size, uint8_t* packed) {
  const int64_t stride = int64_t{gridDim.x} * threads * 8;
  const bool wide = aligned(integers, 8) && aligned(packed, 4);
  for (int64_t i = (int64_t{blockIdx.x} * threads + threadIdx.x) * 8; i < size; i += stride) {
    if (wide && i + 8 <= size) {
      // Bytes 0x0h 0x0l of each pair become 0xhl: the odd bytes' nibbles move down by four bits, then the pairs close
      // up.
      unsigned long long word = *reinterpret_cast<const unsigned long long*>(integers + i) & 0x0f0f0f0f0f0f0f0full;
      word = (word | word >> 4) & 0x00ff00ff00ff00ffull;
      word = (word | word >> 8) & 0x0000ffff0000ffffull;
      *reinterpret_cast<uint32_t*>(packed + i / 2) = static_cast<uint32_t>(word | word >> 16);
    } else {
      for (int64_t j = i; j < i + 8 && j < size; j += 2) {
        const uint32_t high = j + 1 < size ? integers[j + 1] & 15u : 0u;
        packed[j / 2] = static_cast<uint8_t>((integers[j] & 15u) | high << 4);
      }
    }
  }
}

__global__ void __launch_bounds__(threads)
    unpack_nibbles_kernel(const uint8_t* packed, int64_t size, bool is_signed, uint8_t* integers) {
  const int64_t stride = int64_t{gridDim.x} * threads * 8;
  const bool wide = aligned(packed, 4) && aligned(integers, 8);
  for (int64_t i = (int64_t{blockIdx.x} * threads + threadIdx.x) * 8; i < size; i += stride) {
    if (wide && i + 8 <= size) {
      const uint32_t nibbles = *reinterpret_cast<const uint32_t*>(packed + i / 2);
      unsigned long long word = 0;
      for (int j = 0; j < 8; ++j)
        word |= static_cast<unsigned long long>(extend_nibble(nibbles >> (4 * j), is_signed)) << (8 * j);
      *reinterpret_cast<unsigned long long*>(integers + i) = word;
    } else {
      for (int64_t j = i; j < i + 8 && j < size; ++j)
        integers[j] = extend_nibble(static_cast<uint32_t>(packed[j / 2]) >> (4 * (j % 2)), is_signed);
    }
  }
}

unsigned grid_for(int64_t elements) { return stride_grid((elements + chunk_elements - 1) / chunk_elements, 8); }

}  // namespace

void quantize(void* stream, const float* values, const ScaleLayout& layout, const float* scale,
              const uint8_t* zero_point, IntegerType type, uint8_t* quantized) {
  PARE_LAUNCH(quantize_kernel, grid_for(layout.size()), threads, stream, values,
              Scaling{layout, scale, zero_point, type}, quantized);
}

void dequantize(void* stream, const uint8_t* quantized, const ScaleLayout& layout, const float* scale,
                const uint8_t* zero_point, IntegerType type, float* values) {
  PARE_LAUNCH(dequantize_kernel, grid_for(layout.size()), threads, stream, quantized,
              Scaling{layout, scale, zero_point, type}, values);
}

void pack_nibbles(void* stream, const uint8_t* integers, int64_t size, uint8_t* packed) {
  PARE_LAUNCH(pack_nibbles_kernel, grid_for(size), threads, stream, integers, size, packed);
}

void unpack_nibbles(void* stream, const uint8_t* packed, int64_t size, IntegerType type, uint8_t* integers) {
  PARE_LAUNCH(unpack_nibbles_kernel, grid_for(size), threads, stream, packed, size, type == IntegerType::int4,
              integers);
}

}  // namespace pare::kernels::cuda
