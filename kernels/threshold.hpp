// Exact selection of the k smallest scores over a list of tensors, without sorting and without copying the scores.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/device.hpp"

namespace pare::kernels {

struct ScoreView {
  const float* score;
  int64_t size;
};

// The selected elements are those with (score, global index) < (threshold, cut_index) in lexicographic order; the
// global index counts the elements of all tensors in list order. -0 and +0 are equal.
struct Selection {
  float threshold;    // -inf when nothing is selected
  int64_t cut_index;  // elements equal to the threshold are selected below this global index
  int64_t count;      // elements selected: the k that was asked for
};

PARE_HD bool is_selected(const Selection& selection, float score, int64_t global_index) {
  return score < selection.threshold || (score == selection.threshold && global_index < selection.cut_index);
}

// Selects exactly the k smallest scores, 0 <= k <= total size, ties by global index. Radix selection on the order-
// preserving integer image of the floats: the scores are read twice, and a third time only to split a tie at the
// threshold. Deterministic for any thread count and device. Infinite scores are ordinary values; a NaN throws
// Error(failure) that names its tensor. On CUDA the call synchronises with the stream.
Selection select_smallest(Device device, std::span<const ScoreView> scores, int64_t k);

namespace cpu {
// nan_tensor: index of the first tensor with a NaN, or -1.
Selection select_smallest(std::span<const ScoreView> scores, int64_t k, int64_t& nan_tensor);
}  // namespace cpu

namespace cuda {
Selection select_smallest(void* stream, std::span<const ScoreView> scores, int64_t k, int64_t& nan_tensor);
}  // namespace cuda

}  // namespace pare::kernels
