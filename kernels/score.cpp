#include "kernels/score.hpp"

#include <atomic>
#include <cmath>

#include "kernels/blocks.hpp"
#include "kernels/score_math.hpp"

namespace pare::kernels {
namespace {

// Elements whose gradients and step scores stay in the first-level cache between the loops below.
constexpr int64_t tile_elements = 2048;

// out[i] = gradient[begin + i] * inverse_loss_scale, in fp32. Returns whether all are finite.
PARE_SIMD bool unscale_range(const void* gradient, FloatType type, float inverse_loss_scale, int64_t begin, int64_t end,
                             float* out) {
  const int64_t count = end - begin;
  if (type == FloatType::fp32) {
    const float* g = static_cast<const float*>(gradient) + begin;
    for (int64_t i = 0; i < count; ++i) out[i] = g[i] * inverse_loss_scale;
  } else {
    const uint16_t* g = static_cast<const uint16_t*>(gradient) + begin;
    if (type == FloatType::bf16) {
      for (int64_t i = 0; i < count; ++i) out[i] = bf16_to_float(g[i]) * inverse_loss_scale;
    } else {
      for (int64_t i = 0; i < count; ++i) out[i] = fp16_to_float(g[i]) * inverse_loss_scale;
    }
  }
  uint32_t special = 0;
  for (int64_t i = 0; i < count; ++i) special |= is_finite(out[i]) ? 0u : 1u;
  return special == 0;
}

// step[i] = score of weight[i] and the gradient in step[i].
PARE_SIMD void score_range(Importance importance, const float* weight, float* step, int64_t count) {
  switch (importance) {
    case Importance::magnitude:
      for (int64_t i = 0; i < count; ++i) step[i] = step_score(Importance::magnitude, weight[i], 0.0f);
      break;
    case Importance::taylor:
      for (int64_t i = 0; i < count; ++i) step[i] = step_score(Importance::taylor, weight[i], step[i]);
      break;
    case Importance::fisher:
      for (int64_t i = 0; i < count; ++i) step[i] = step_score(Importance::fisher, weight[i], step[i]);
      break;
    case Importance::snip:
      for (int64_t i = 0; i < count; ++i) step[i] = step_score(Importance::snip, weight[i], step[i]);
      break;
    case Importance::movement:
      for (int64_t i = 0; i < count; ++i) step[i] = step_score(Importance::movement, weight[i], step[i]);
      break;
  }
}

PARE_SIMD void blend_range(Accumulate accumulate, float decay, float gain, const float* step, float* score,
                           int64_t count) {
  switch (accumulate) {
    case Accumulate::replace:
      for (int64_t i = 0; i < count; ++i) score[i] = step[i];
      break;
    case Accumulate::sum:
      for (int64_t i = 0; i < count; ++i) score[i] = blend_score(Accumulate::sum, score[i], step[i], decay, gain);
      break;
    case Accumulate::average:
      for (int64_t i = 0; i < count; ++i) score[i] = blend_score(Accumulate::average, score[i], step[i], decay, gain);
      break;
  }
}

bool all_gradients_finite(std::span<const ScoreTensor> tensors, const std::vector<Block>& blocks,
                          float inverse_loss_scale) {
  std::atomic<bool> finite = true;
  parallel_over(blocks, [&](const Block& block) {
    const ScoreTensor& tensor = tensors[static_cast<size_t>(block.tensor)];
    float unscaled[tile_elements];
    for (int64_t begin = block.begin; begin < block.end && finite.load(std::memory_order_relaxed);
         begin += tile_elements) {
      const int64_t end = std::min(begin + tile_elements, block.end);
      if (!unscale_range(tensor.gradient, tensor.gradient_type, inverse_loss_scale, begin, end, unscaled))
        finite.store(false, std::memory_order_relaxed);
    }
  });
  return finite;
}

}  // namespace

void accumulate_scores(Device device, const ScoreStep& step, std::span<const ScoreTensor> tensors, float* found_inf) {
  const bool needs_gradient = step.importance != Importance::magnitude;
  for (size_t t = 0; t < tensors.size(); ++t) {
    check_tensor("accumulate_scores", t, tensors[t].size, tensors[t].weight, "weight");
    check_tensor("accumulate_scores", t, tensors[t].size, tensors[t].score, "score");
    if (needs_gradient) check_tensor("accumulate_scores", t, tensors[t].size, tensors[t].gradient, "gradient");
  }
  if (!(step.decay >= 0 && step.decay < 1))
    fail_run("accumulate_scores: decay out of range (got {}, expected 0 <= decay < 1)", step.decay);
  if (!(step.inverse_loss_scale > 0) || !std::isfinite(step.inverse_loss_scale))
    fail_run("accumulate_scores: inverse loss scale out of range (got {}, expected > 0)", step.inverse_loss_scale);
  if (needs_gradient && found_inf == nullptr) fail_run("accumulate_scores: no found_inf flag (got null)");
  if (device.cuda) cuda::accumulate_scores(device.stream, step, tensors, found_inf);
  else cpu::accumulate_scores(step, tensors, found_inf);
}

namespace cpu {

void accumulate_scores(const ScoreStep& step, std::span<const ScoreTensor> tensors, float* found_inf) {
  const std::vector<Block> blocks = cut_blocks(tensors);
  const bool needs_gradient = step.importance != Importance::magnitude;
  if (needs_gradient) {
    if (step.check_gradients) *found_inf = all_gradients_finite(tensors, blocks, step.inverse_loss_scale) ? 0.0f : 1.0f;
    if (*found_inf != 0) return;
  }
  const float gain = 1.0f - step.decay;
  parallel_over(blocks, [&](const Block& block) {
    const ScoreTensor& tensor = tensors[static_cast<size_t>(block.tensor)];
    float scores[tile_elements];
    for (int64_t begin = block.begin; begin < block.end; begin += tile_elements) {
      const int64_t end = std::min(begin + tile_elements, block.end);
      if (needs_gradient)
        unscale_range(tensor.gradient, tensor.gradient_type, step.inverse_loss_scale, begin, end, scores);
      score_range(step.importance, tensor.weight + begin, scores, end - begin);
      blend_range(step.accumulate, step.decay, gain, scores, tensor.score + begin, end - begin);
    }
  });
}

}  // namespace cpu
}  // namespace pare::kernels
