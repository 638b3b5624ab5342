#include "kernels/mask.hpp"

#include "kernels/blocks.hpp"

namespace pare::kernels {
namespace {

// mask[i] = 0 iff score[i] < threshold, or equal to it and i < cut.
PARE_SIMD void write_range(const float* score, uint8_t* mask, int64_t begin, int64_t end, float threshold,
                           int64_t cut) {
  const int64_t tie_end = std::min(std::max(begin, cut), end);
  for (int64_t i = begin; i < tie_end; ++i) mask[i] = score[i] <= threshold ? 0 : 1;
  for (int64_t i = tie_end; i < end; ++i) mask[i] = score[i] < threshold ? 0 : 1;
}

PARE_SIMD void apply_range(const uint8_t* mask, float* values, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) values[i] = mask[i] != 0 ? values[i] : 0.0f;
}

}  // namespace

void write_masks(Device device, std::span<const ScoreMask> tensors, const Selection& selection) {
  for (size_t t = 0; t < tensors.size(); ++t) {
    check_tensor("write_masks", t, tensors[t].size, tensors[t].score, "score");
    check_tensor("write_masks", t, tensors[t].size, tensors[t].mask, "mask");
  }
  if (device.cuda) cuda::write_masks(device.stream, tensors, selection);
  else cpu::write_masks(tensors, selection);
}

void apply_masks(Device device, std::span<const MaskedTensor> tensors) {
  for (size_t t = 0; t < tensors.size(); ++t) check_tensor("apply_masks", t, tensors[t].size, tensors[t].mask, "mask");
  if (device.cuda) cuda::apply_masks(device.stream, tensors);
  else cpu::apply_masks(tensors);
}

namespace cpu {

void write_masks(std::span<const ScoreMask> tensors, const Selection& selection) {
  parallel_over(cut_blocks(tensors), [&](const Block& block) {
    const ScoreMask& tensor = tensors[static_cast<size_t>(block.tensor)];
    write_range(tensor.score, tensor.mask, block.begin, block.end, selection.threshold,
                selection.cut_index - block.global_offset);
  });
}

void apply_masks(std::span<const MaskedTensor> tensors) {
  parallel_over(cut_blocks(tensors), [&](const Block& block) {
    const MaskedTensor& tensor = tensors[static_cast<size_t>(block.tensor)];
    for (float* values : tensor.values)
      if (values != nullptr) apply_range(tensor.mask, values, block.begin, block.end);
  });
}

}  // namespace cpu
}  // namespace pare::kernels
