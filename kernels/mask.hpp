// Pruning masks, one byte per weight (1 keeps, 0 prunes): written from a selection, applied to weights and moments.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/device.hpp"
#include "kernels/threshold.hpp"

namespace pare::kernels {

struct ScoreMask {
  const float* score;
  uint8_t* mask;  // written
  int64_t size;
};

// mask = 0 for the elements that `selection` selects, else 1. The list is the one that select_smallest saw, same order.
void write_masks(Device device, std::span<const ScoreMask> tensors, const Selection& selection);

struct MaskedTensor {
  const uint8_t* mask;  // 0 or 1
  float* values[4];     // the weight and the optimizer's moments; null entries are skipped
  int64_t size;
};

// Sets every value whose mask is 0 to +0 (also NaN and inf), in all buffers of all tensors. Kept values do not change.
void apply_masks(Device device, std::span<const MaskedTensor> tensors);

namespace cpu {
void write_masks(std::span<const ScoreMask> tensors, const Selection& selection);
void apply_masks(std::span<const MaskedTensor> tensors);
}  // namespace cpu

namespace cuda {
void write_masks(void* stream, std::span<const ScoreMask> tensors, const Selection& selection);
void apply_masks(void* stream, std::span<const MaskedTensor> tensors);
}  // namespace cuda

}  // namespace pare::kernels
