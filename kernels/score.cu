// Score accumulation for all parameters of a model.
//
// Cost a weight with an fp32 gradient and an average: 4 B weight + 4 B gradient + 4 B score read, 4 B score written =
// 16 B (14 B with a 16-bit gradient), after 4 B (2 B) read by the check of the gradients. A thread handles four
// neighbours with three 16-byte loads and one 16-byte store; 2,048 threads a multiprocessor (eight blocks of 256, no
// shared memory, at most 32 registers wanted) keep 96 KB of loads in flight, several times what latency times bandwidth
// asks for on an sm_90. The arithmetic is a dozen instructions, so the kernel should run at the bandwidth of a copy.
// Two launches whatever the number of tensors: the check must have seen every gradient before any score may change.
#include "kernels/score.hpp"
#include "kernels/score_math.hpp"
#include "kernels/tensor_list.hpp"

namespace pare::kernels::cuda {
namespace {

__global__ void __launch_bounds__(chunk_threads)
    check_gradients_kernel(TensorListView<ScoreTensor> list, float inverse_loss_scale, float* found_inf) {
  for (int64_t c = blockIdx.x; c < list.chunks; c += gridDim.x) {
    const Chunk chunk = list.chunk(c);
    const ScoreTensor tensor = list.tensors[chunk.tensor];
    bool finite = true;
    int64_t i = chunk.begin + threadIdx.x, stride = chunk_threads;
    if (aligned_to_four(tensor.gradient, tensor.gradient_type)) {
      for (i = chunk.begin + 4 * threadIdx.x; i + 4 <= chunk.end; i += 4 * chunk_threads) {
        const float4 g = load_four(tensor.gradient, tensor.gradient_type, i);
        finite = finite && is_finite(g.x * inverse_loss_scale) && is_finite(g.y * inverse_loss_scale) &&
                 is_finite(g.z * inverse_loss_scale) && is_finite(g.w * inverse_loss_scale);
      }
      stride = 1;  // at most one thread still has elements: fewer than four
    }
    for (; i < chunk.end; i += stride)
      finite = finite && is_finite(load_float(tensor.gradient, tensor.gradient_type, i) * inverse_loss_scale);
    if (!finite) *found_inf = 1.0f;  // every writer writes the same value
  }
}

struct ScoreArguments {
  Importance importance;
  Accumulate accumulate;
  float decay, gain, inverse_loss_scale;
};

__device__ float updated_score(const ScoreArguments& arguments, float weight, float gradient, float score) {
  const float step = step_score(arguments.importance, weight, gradient * arguments.inverse_loss_scale);
  return blend_score(arguments.accumulate, score, step, arguments.decay, arguments.gain);
}

__global__ void __launch_bounds__(chunk_threads)
    accumulate_kernel(TensorListView<ScoreTensor> list, ScoreArguments arguments, const float* found_inf) {
  if (found_inf != nullptr && *found_inf != 0.0f) return;
  for (int64_t c = blockIdx.x; c < list.chunks; c += gridDim.x) {
    const Chunk chunk = list.chunk(c);
    const ScoreTensor tensor = list.tensors[chunk.tensor];
    int64_t i = chunk.begin + threadIdx.x, stride = chunk_threads;
    if (aligned(tensor.weight, 16) && aligned(tensor.score, 16) &&
        aligned_to_four(tensor.gradient, tensor.gradient_type)) {
      for (i = chunk.begin + 4 * threadIdx.x; i + 4 <= chunk.end; i += 4 * chunk_threads) {
        const float4 w = *reinterpret_cast<const float4*>(tensor.weight + i);
        float4 g{0.0f, 0.0f, 0.0f, 0.0f};  // magnitude has no gradient
        if (tensor.gradient != nullptr) g = load_four(tensor.gradient, tensor.gradient_type, i);
        float4 s = *reinterpret_cast<const float4*>(tensor.score + i);
        s.x = updated_score(arguments, w.x, g.x, s.x);
        s.y = updated_score(arguments, w.y, g.y, s.y);
        s.z = updated_score(arguments, w.z, g.z, s.z);
        s.w = updated_score(arguments, w.w, g.w, s.w);
        *reinterpret_cast<float4*>(tensor.score + i) = s;
      }
      stride = 1;  // at most one thread still has elements: fewer than four
    }
    for (; i < chunk.end; i += stride) {
      const float g = tensor.gradient == nullptr ? 0.0f : load_float(tensor.gradient, tensor.gradient_type, i);
      tensor.score[i] = updated_score(arguments, tensor.weight[i], g, tensor.score[i]);
    }
  }
}

}  // namespace

void accumulate_scores(void* stream, const ScoreStep& step, std::span<const ScoreTensor> tensors, float* found_inf) {
  const TensorList<ScoreTensor> list(stream, tensors);
  const unsigned grid = stride_grid(list.chunks(), 8);
  const bool needs_gradient = step.importance != Importance::magnitude;
  if (needs_gradient && step.check_gradients) {
    set_bytes(stream, found_inf, 0, sizeof(float));
    if (grid > 0)
      PARE_LAUNCH(check_gradients_kernel, grid, chunk_threads, stream, list.view(), step.inverse_loss_scale, found_inf);
  }
  if (grid == 0) return;
  const ScoreArguments arguments{step.importance, step.accumulate, step.decay, 1.0f - step.decay,
                                 step.inverse_loss_scale};
  PARE_LAUNCH(accumulate_kernel, grid, chunk_threads, stream, list.view(), arguments,
              needs_gradient ? found_inf : nullptr);
}

}  // namespace pare::kernels::cuda
