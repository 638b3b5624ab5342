// Element types along the graph.
#pragma once

#include "src/graph/graph.hpp"

namespace pare {

// The element type that the node gives its output `index`, from those of its inputs, its attributes and the bodies of
// its subgraphs (ONNX operator specifications; ONNX Runtime's ContribOperators for com.microsoft). undefined where they
// leave it open.
DType element_type(const Graph& graph, const Node& node, size_t index);

// Fills Value::dtype of graph outputs that the file leaves open.
void complete_output_types(Graph& graph);

}  // namespace pare
