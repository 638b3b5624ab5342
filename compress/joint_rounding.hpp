// Rounding of all weights together with the activations' steps and the biases, by what the network's outputs lose: the
// last phase of quantization with few bits, without labels.
#pragma once

#include "compress/qdq_insert.hpp"
#include "src/exec/executor.hpp"

namespace pare {

struct JointConfig {
  int64_t steps = 1000;
  // Of Adam, at the first step; they fall as a cosine to zero.
  double code_rate = 3e-3;  // in codes
  double step_rate = 1e-2;  // of the logarithm of an activation's step
  double bias_rate = 2e-3;  // of the size that a layer's sums have, about
  double block_weight = 1;  // of the mean relative error of the blocks' outputs, against the loss of the outputs
};

// By value, of a placement's places and layers.
struct JointValues {
  std::map<ValueId, ActivationCodes> activations;
  std::map<ValueId, EncodedWeight> weights;
  std::map<ValueId, Tensor> biases;
  double loss_before = 0;  // on the first batches
  double loss_after = 0;
};

// Samples without end, in the order of Graph::inputs.
using NextBatch = std::function<std::vector<at::Tensor>()>;

// Trains, from `start` (whose biases are not read): the weights' codes, straight-through and at most one from where
// `nearest` has them, as AdaRound and AdaQuant (Hubara et al. 2021) do; the activations' steps by LSQ's gradients
// (Esser et al. 2020), as in BRECQ (Li et al. 2021) and QDrop (Wei et al. 2022); and the biases of the placement's
// layers. The loss is the divergence from the float network's outputs (KL for logits, else the relative squared error)
// and the relative squared error of its blocks' outputs. Gives `start` where the loss on the first batches is not lower
// afterwards. `stepped` is called with each step's number. Memory: a run forward and backward with one batch, eight
// batches.
JointValues round_jointly(const Graph& graph, const QuantPlacement& placement, JointValues start,
                          const std::map<ValueId, EncodedWeight>& nearest, const JointConfig& config, at::Device device,
                          const NextBatch& next, const std::function<void(int64_t step)>& stepped);

}  // namespace pare
