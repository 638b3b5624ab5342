// A list of tensors cut into blocks of a fixed size, so that one parallel loop (CPU) serves all of them whatever their
// sizes. The cut does not depend on the number of threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "src/core/error.hpp"
#include "src/core/threads.hpp"

namespace pare::kernels {

struct Block {
  int64_t tensor;         // index in the list
  int64_t begin, end;     // elements of that tensor
  int64_t global_offset;  // elements of all earlier tensors
};

inline constexpr int64_t block_elements = int64_t{1} << 16;

// Tensor is any struct with `int64_t size`.
template <class Tensor>
std::vector<Block> cut_blocks(std::span<const Tensor> tensors) {
  std::vector<Block> blocks;
  int64_t offset = 0;
  for (size_t t = 0; t < tensors.size(); ++t) {
    const int64_t size = tensors[t].size;
    for (int64_t begin = 0; begin < size; begin += block_elements)
      blocks.push_back({static_cast<int64_t>(t), begin, std::min(size, begin + block_elements), offset});
    offset += size;
  }
  return blocks;
}

template <class Tensor>
int64_t total_size(std::span<const Tensor> tensors) {
  int64_t total = 0;
  for (const Tensor& tensor : tensors) total += tensor.size;
  return total;
}

// Throws Error(failure) unless tensor `index` of a list has size >= 0, and a non-null pointer where it has elements.
inline void check_tensor(const char* function, size_t index, int64_t size, const void* pointer, const char* what) {
  if (size < 0) fail_run("{}: tensor {} has a negative size (got {})", function, index, size);
  if (size > 0 && pointer == nullptr) fail_run("{}: tensor {} has no {} (got null)", function, index, what);
}

// Calls body(block) for every block, in parallel.
template <class Body>
void parallel_over(const std::vector<Block>& blocks, const Body& body) {
  parallel_for(0, static_cast<int64_t>(blocks.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) body(blocks[static_cast<size_t>(i)]);
  });
}

}  // namespace pare::kernels
