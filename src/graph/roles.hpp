// What the constants of a graph are for: which ones training changes, pruning masks, and weight decay leaves alone.
#pragma once

#include "src/graph/graph.hpp"

namespace pare {

enum class Role {
  none,    // computed, or a constant that training leaves alone: integers, single numbers
  weight,  // multiplies what flows through a convolution, matrix product or recurrent layer: pruned, quantized, decayed
  offset,  // biases, scales and other trainable constants: neither pruned nor decayed
  statistics,  // running mean and variance, ranges: updated in the forward pass, no gradient
  step,        // learned step of fake quantization: positive, trained by ratios, never decayed
};

// The role of each value, indexed by ValueId. A constant with several uses takes the first that is not `none` in the
// order above.
std::vector<Role> roles_of(const Graph& graph);

}  // namespace pare
