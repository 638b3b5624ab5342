// What the constants of a graph are for: which ones training changes, pruning masks, and weight decay leaves alone.
#pragma once

#include "src/graph/graph.hpp"

namespace pare {

enum class Role {
  none,    // computed, or a constant that training leaves alone: integers, single numbers
  weight,  // multiplies what flows through a convolution, matrix product or recurrent layer: pruned, quantized, decayed
  moved_weight,  // a weight that nodes which only move elements (Slice, Concat, Transpose) bring to its layer: pruned
                 // and decayed, but its rows are no longer the layer's
  offset,        // biases, scales and other trainable constants: neither pruned nor decayed
  statistics,    // running mean and variance, ranges: updated in the forward pass, no gradient
  step,          // learned step of fake quantization: positive, trained by ratios, never decayed
};

// The role of each value, indexed by ValueId. A constant with several uses takes the first that is not `none` in the
// order above.
std::vector<Role> roles_of(const Graph& graph);

// A constant that reaches a weight's place only through other nodes.
struct IndirectWeight {
  ValueId constant = no_value;
  std::string through;  // the first of these nodes, and the layer, as messages name them
  std::string layer;
  bool moved = true;  // all of these nodes only move elements
};

// Float constants of rank 2 or more that are no Role::weight for that reason, in the order of their layers; those of
// subgraphs' layers too.
std::vector<IndirectWeight> indirect_weights(const Graph& graph);

}  // namespace pare
