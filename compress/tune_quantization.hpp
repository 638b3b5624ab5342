// Activations' ranges, weights' codes and layers' biases, tuned together by what the network's outputs lose: the last
// phase of quantization with few bits, without labels.
#pragma once

#include "compress/qdq_insert.hpp"
#include "src/exec/executor.hpp"

namespace pare {

struct TuningConfig {
  int64_t steps = 500;
  // Of Adam, at the first step; they fall as a cosine to zero.
  double step_rate = 1e-2;    // of the logarithm of an activation's step
  double code_rate = 3e-3;    // of a weight, in units of its scale
  double bias_rate = 2e-3;    // of the size that a layer's sums have, about
  double block_weight = 0.1;  // of the mean relative error of the blocks' outputs, against the loss of the outputs
};

// By value, of a placement's places and layers.
struct TunedValues {
  std::map<ValueId, ActivationCodes> activations;
  std::map<ValueId, EncodedWeight> weights;
  std::map<ValueId, Tensor> biases;
  double loss_before = 0;  // on the first batches
  double loss_after = 0;
};

// Samples without end, in the order of Graph::inputs; a batch is valid until the next one.
using NextBatch = std::function<std::vector<at::Tensor>()>;

// Trains the activations' steps from `activations` by LSQ's gradients (Esser et al. 2020), as BRECQ (Li et al. 2021)
// and QDrop (Wei et al. 2022) do, the weights with straight-through gradients behind scales that stay, so that some
// codes change, and the biases of the placement's layers. The loss is the divergence from the float network's outputs
// (KL for logits, else the relative squared error) and the relative squared error of its blocks' outputs. Gives what it
// started from, without biases, where the loss on the first batches is not lower afterwards. `stepped` is called with
// each step's number. Memory: a run forward and backward with one batch, eight batches, and five times the weights.
// Throws (exit 3) when the loss is not finite.
TunedValues tune_quantization(const Graph& graph, const QuantPlacement& placement,
                              const std::map<ValueId, ActivationCodes>& activations,
                              const std::map<ValueId, EncodedWeight>& weights, const TuningConfig& config,
                              at::Device device, const NextBatch& next,
                              const std::function<void(int64_t step)>& stepped);

}  // namespace pare
