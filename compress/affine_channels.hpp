// Functions that multiply a value by constants, and may add some: LayerNormalization, Mul, Div, or Mul or Div and Add.
// What channels are divided by can become part of these constants.
#pragma once

#include <optional>
#include <vector>

#include "src/graph/graph.hpp"

namespace pare {

struct AffinePart {
  size_t node = 0;                // index in Graph::nodes
  std::vector<size_t> constants;  // inputs of the node that are constants
  bool divides = false;           // Div: its constant is what the value is divided by
};

// The nodes whose constants scale `value`, the first one first; empty where none do. `axis`: of the channels, -1 or, of
// values with a known rank, 1. Constants have one element, or one a channel. A LayerNormalization counts where it
// scales the last axis. The product that an Add reads must have no other reader; products of a Clip, which are gates,
// do not count.
std::vector<AffinePart> affine_parts(const Graph& graph, const std::vector<std::vector<const Node*>>& consumers,
                                     const std::vector<const Node*>& producers, ValueId value, int64_t axis,
                                     int64_t channels);

// The node's constant, divided (of a Div: multiplied) by the factors of channels, as a new one that broadcasts to a
// value of that rank.
ValueId divided_constant(Graph& graph, const AffinePart& part, size_t input, const std::vector<double>& factors,
                         int64_t axis, size_t rank);

// The node that computes each value, by ValueId; null for inputs and constants.
std::vector<const Node*> producers_of(const Graph& graph);

}  // namespace pare
