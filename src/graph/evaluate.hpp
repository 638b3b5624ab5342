// Operators on values that are known before anything runs (known_value.hpp): those that models use to compute sizes.
#pragma once

#include <span>
#include <utility>

#include "src/graph/known_value.hpp"

namespace pare {

// What an operator computes from: the node, and its inputs as far as they are known.
struct Evaluation {
  const Graph& graph;
  const Node& node;
  std::vector<std::optional<KnownValue>> inputs;

  // The input, or null when it is left out or nothing is known of it.
  const KnownValue* input(size_t index) const {
    return index < inputs.size() && inputs[index] ? &*inputs[index] : nullptr;
  }
  // The integers of an input, all known; no value otherwise.
  std::optional<std::vector<int64_t>> integers(size_t index) const;
};

// The outputs; no value when nothing is known of them.
using Known = std::optional<std::vector<KnownValue>>;
using Evaluator = Known (*)(const Evaluation&);

// The outputs of a node whose output shapes are inferred; no value when its operator is not one of those, when too
// little is known of the inputs, or when an output would be too large. Throws (exit 3) naming the node when the inputs
// do not fit.
Known evaluate(const Graph& graph, const Node& node);

// The operator's function, by kind: elementwise (arithmetic, comparisons, Cast, Where), moving elements (Gather,
// Concat...); null for others.
Evaluator find_elementwise(std::string_view op);
Evaluator find_movement(std::string_view op);

// Row-major index arithmetic: for each element of `shape`, its coordinates in order.
template <class Body>
void for_each_index(const Shape& shape, Body&& body) {
  Shape at(shape.size(), 0);
  const int64_t count = element_count(shape);
  for (int64_t i = 0; i < count; ++i) {
    body(static_cast<size_t>(i), std::as_const(at));
    for (size_t axis = shape.size(); axis-- > 0;) {
      if (++at[axis] < shape[axis]) break;
      at[axis] = 0;
    }
  }
}

// The row-major position of the element of a tensor of shape `shape` that broadcasting reads for `at` of the result.
size_t broadcast_position(const Shape& shape, const Shape& at);

}  // namespace pare
