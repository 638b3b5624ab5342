// Importance of every weight, accumulated over training steps, for all parameters of a model in one call.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/device.hpp"

namespace pare::kernels {

// Step score s of a weight w with unscaled batch gradient g (score_math.hpp has the formulas once):
//   magnitude |w|       Han et al., Learning both Weights and Connections (2015); needs no gradient
//   taylor    |w g|     Molchanov et al., Importance Estimation for Neural Network Pruning (2019), first order
//   fisher    (w g)^2   Theis et al., Faster gaze prediction with dense networks and Fisher pruning (2018)
//   snip      w g       Lee et al., SNIP (2019): |sum|, but the sum stays signed
//   movement  -w g      Sanh et al., Movement Pruning (2020): signed, the most negative weights go first
enum class Importance : uint8_t { magnitude, taylor, fisher, snip, movement };

// How a step score s enters the accumulated score S.
enum class Accumulate : uint8_t {
  replace,  // S <- s
  sum,      // S <- S + s
  average,  // S <- decay S + (1 - decay) s
};

struct ScoreTensor {
  const float* weight;
  const void* gradient;  // may be null for magnitude
  FloatType gradient_type;
  float* score;  // read and written; overlaps nothing else
  int64_t size;  // elements; any pointer alignment that the element type allows
};

struct ScoreStep {
  Importance importance = Importance::taylor;
  Accumulate accumulate = Accumulate::average;
  float decay = 0.9f;               // of `average`, in [0, 1)
  float inverse_loss_scale = 1.0f;  // g = stored gradient * this; finite and > 0
  bool check_gradients = true;      // false: `found_inf` is already right (the optimizer's unscaling has filled it)
};

// Adds one step to the scores of all tensors. If any unscaled gradient is inf or NaN, no score changes and *found_inf
// becomes 1, else 0. With check_gradients false *found_inf is only read: non-zero skips the step. found_inf lives where
// the tensors live (as the optimizer's flag) and may be null for magnitude alone. On CUDA nothing synchronises.
// Bit-equal on both devices for finite results. A product that overflows fp32 makes the score +-inf; inf - inf in a
// signed sum makes it NaN, which select_smallest reports.
void accumulate_scores(Device device, const ScoreStep& step, std::span<const ScoreTensor> tensors, float* found_inf);

namespace cpu {
void accumulate_scores(const ScoreStep& step, std::span<const ScoreTensor> tensors, float* found_inf);
}  // namespace cpu

namespace cuda {
void accumulate_scores(void* stream, const ScoreStep& step, std::span<const ScoreTensor> tensors, float* found_inf);
}  // namespace cuda

}  // namespace pare::kernels
