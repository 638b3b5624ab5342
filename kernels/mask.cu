// Masks from a selection, and masks applied to weights and moments.
//
// Writing: 4 B score read, 1 B mask written a weight; one 16-byte load and one 4-byte store a thread and step.
// Applying: 1 B mask read, then 8 B a buffer where some of four neighbours are pruned and some kept, 4 B where all are
// pruned, nothing where all are kept: at most 17 B for a weight with one moment. No shared memory, 256 threads, eight
// blocks a multiprocessor; both should run at the bandwidth of a copy.
#include "kernels/mask.hpp"
#include "kernels/tensor_list.hpp"

namespace pare::kernels::cuda {
namespace {

__global__ void __launch_bounds__(chunk_threads)
    write_masks_kernel(TensorListView<ScoreMask> list, Selection selection) {
  for (int64_t c = blockIdx.x; c < list.chunks; c += gridDim.x) {
    const Chunk chunk = list.chunk(c);
    const ScoreMask tensor = list.tensors[chunk.tensor];
    int64_t i = chunk.begin + threadIdx.x, stride = chunk_threads;
    if (aligned(tensor.score, 16) && aligned(tensor.mask, 4)) {
      for (i = chunk.begin + 4 * threadIdx.x; i + 4 <= chunk.end; i += 4 * chunk_threads) {
        const float4 s = *reinterpret_cast<const float4*>(tensor.score + i);
        const int64_t global = chunk.global_offset + i;
        uchar4 mask;
        mask.x = is_selected(selection, s.x, global) ? 0 : 1;
        mask.y = is_selected(selection, s.y, global + 1) ? 0 : 1;
        mask.z = is_selected(selection, s.z, global + 2) ? 0 : 1;
        mask.w = is_selected(selection, s.w, global + 3) ? 0 : 1;
        *reinterpret_cast<uchar4*>(tensor.mask + i) = mask;
      }
      stride = 1;
    }
    for (; i < chunk.end; i += stride)
      tensor.mask[i] = is_selected(selection, tensor.score[i], chunk.global_offset + i) ? 0 : 1;
  }
}

// values[0..3] = 0 where the mask is 0.
__device__ void apply_four(uchar4 mask, float* values) {
  float4* four = reinterpret_cast<float4*>(values);
  float4 v{0.0f, 0.0f, 0.0f, 0.0f};
  if ((mask.x | mask.y | mask.z | mask.w) != 0) v = *four;
  if (mask.x == 0) v.x = 0.0f;
  if (mask.y == 0) v.y = 0.0f;
  if (mask.z == 0) v.z = 0.0f;
  if (mask.w == 0) v.w = 0.0f;
  *four = v;
}

__global__ void __launch_bounds__(chunk_threads) apply_masks_kernel(TensorListView<MaskedTensor> list) {
  for (int64_t c = blockIdx.x; c < list.chunks; c += gridDim.x) {
    const Chunk chunk = list.chunk(c);
    const MaskedTensor tensor = list.tensors[chunk.tensor];
    const uint8_t* mask = tensor.mask;
    for (int b = 0; b < 4; ++b) {
      float* values = tensor.values[b];
      if (values == nullptr) continue;
      int64_t i = chunk.begin + threadIdx.x, stride = chunk_threads;
      if (aligned(values, 16) && aligned(mask, 4)) {
        for (i = chunk.begin + 4 * threadIdx.x; i + 4 <= chunk.end; i += 4 * chunk_threads) {
          const uchar4 four = *reinterpret_cast<const uchar4*>(mask + i);
          if ((four.x & four.y & four.z & four.w) == 0) apply_four(four, values + i);
        }
        stride = 1;
      }
      for (; i < chunk.end; i += stride)
        if (mask[i] == 0) values[i] = 0.0f;
    }
  }
}

}  // namespace

void write_masks(void* stream, std::span<const ScoreMask> tensors, const Selection& selection) {
  const TensorList<ScoreMask> list(stream, tensors);
  if (list.chunks() == 0) return;
  PARE_LAUNCH(write_masks_kernel, stride_grid(list.chunks(), 8), chunk_threads, stream, list.view(), selection);
}

void apply_masks(void* stream, std::span<const MaskedTensor> tensors) {
  const TensorList<MaskedTensor> list(stream, tensors);
  if (list.chunks() == 0) return;
  PARE_LAUNCH(apply_masks_kernel, stride_grid(list.chunks(), 8), chunk_threads, stream, list.view());
}

}  // namespace pare::kernels::cuda
