// A list of tensors on the device, cut into chunks of a fixed size, so that one launch serves all of them whatever
// their sizes. Included by .cu files only.
#pragma once

#include <cstring>
#include <span>

#include "kernels/float_types.hpp"
#include "kernels/launch.hpp"

namespace pare::kernels::cuda {

inline constexpr int chunk_threads = 256;
inline constexpr int chunk_elements = 16 * chunk_threads;

struct Chunk {
  int64_t tensor;         // index in the list
  int64_t begin, end;     // elements of that tensor
  int64_t global_offset;  // elements of all earlier tensors
};

// Passed to kernels by value. Tensor is any struct with `int64_t size`.
template <class Tensor>
struct TensorListView {
  const Tensor* tensors;
  const int64_t* first_chunk;    // of each tensor; count + 1 entries
  const int64_t* global_offset;  // elements of all earlier tensors
  int64_t count;
  int64_t chunks;

  // The chunk's tensor by bisection, the same few cached words for all threads: the last one whose first chunk is not
  // after `index`. Empty tensors own no chunk, so it is never one of them.
  __device__ Chunk chunk(int64_t index) const {
    int64_t low = 0, high = count - 1;
    while (low < high) {
      const int64_t middle = (low + high + 1) / 2;
      if (first_chunk[middle] <= index) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    const int64_t begin = (index - first_chunk[low]) * chunk_elements;
    const int64_t end = begin + chunk_elements;
    return {low, begin, end < tensors[low].size ? end : tensors[low].size, global_offset[low]};
  }
};

// Owns the device copy of the list: one small upload.
template <class Tensor>
class TensorList {
 public:
  TensorList(void* stream, std::span<const Tensor> tensors)
      : count_(tensors.size()), scratch_(stream, bytes(tensors.size())) {
    std::vector<int64_t> index(2 * count_ + 1);
    for (size_t t = 0; t < count_; ++t) {
      index[t + 1] = index[t] + (tensors[t].size + chunk_elements - 1) / chunk_elements;
      index[count_ + 1 + t] = elements_;
      elements_ += tensors[t].size;
    }
    chunks_ = index[count_];
    std::vector<char> packed(bytes(count_));
    memcpy(packed.data(), index.data(), index_bytes());
    if (count_ > 0) memcpy(packed.data() + index_bytes(), tensors.data(), tensors.size_bytes());
    upload(stream, scratch_.at<char>(), packed.data(), packed.size());
  }

  TensorListView<Tensor> view() const {
    return {scratch_.at<const Tensor>(index_bytes()), scratch_.at<const int64_t>(),
            scratch_.at<const int64_t>((count_ + 1) * sizeof(int64_t)), static_cast<int64_t>(count_), chunks_};
  }

  int64_t chunks() const { return chunks_; }
  int64_t elements() const { return elements_; }

 private:
  static size_t bytes(size_t count) { return (2 * count + 1) * sizeof(int64_t) + count * sizeof(Tensor); }
  size_t index_bytes() const { return (2 * count_ + 1) * sizeof(int64_t); }

  size_t count_;
  Scratch scratch_;
  int64_t chunks_ = 0, elements_ = 0;
};

__device__ inline bool aligned(const void* pointer, uintptr_t bytes) {
  return reinterpret_cast<uintptr_t>(pointer) % bytes == 0;
}

// Elements i to i + 3 of an array of `type`, widened; `data` is aligned to four elements.
__device__ inline float4 load_four(const void* data, FloatType type, int64_t i) {
  if (type == FloatType::fp32) return *reinterpret_cast<const float4*>(static_cast<const float*>(data) + i);
  const ushort4 bits = *reinterpret_cast<const ushort4*>(static_cast<const uint16_t*>(data) + i);
  if (type == FloatType::bf16)
    return {bf16_to_float(bits.x), bf16_to_float(bits.y), bf16_to_float(bits.z), bf16_to_float(bits.w)};
  return {fp16_to_float(bits.x), fp16_to_float(bits.y), fp16_to_float(bits.z), fp16_to_float(bits.w)};
}

__device__ inline bool aligned_to_four(const void* data, FloatType type) {
  return aligned(data, type == FloatType::fp32 ? 16 : 8);
}

}  // namespace pare::kernels::cuda
