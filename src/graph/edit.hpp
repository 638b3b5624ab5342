// Small changes to a graph that passes and compression share.
#pragma once

#include <string>

#include "src/graph/graph.hpp"

namespace pare {

// `wanted`, or with a number behind it where the graph has a value of that name.
std::string unused_name(const Graph& graph, const std::string& wanted);

// Adds a constant, named `wanted` or similar.
ValueId add_constant_value(Graph& graph, const std::string& wanted, Tensor tensor);

// Adds a value that a node will produce.
ValueId add_computed_value(Graph& graph, const std::string& wanted, DType dtype, std::optional<Shape> shape);

// A constant with one float, or with one integer of the type int64.
Tensor scalar_tensor(float value);
Tensor scalar_tensor(int64_t value);

// Nodes to be put in front of the node of that index, in order; the graph stays topologically ordered when what they
// read comes before. Indices are those of `graph.nodes` as it is now.
struct NodeInsertions {
  std::map<size_t, std::vector<Node>> before;

  void apply(Graph& graph);
};

}  // namespace pare
