// Where a network can be compared in its middle: values that everything passes through, such as the outputs of residual
// blocks, found in the graph alone.
#pragma once

#include "src/graph/graph.hpp"

namespace pare {

// At most `most` values, in the order of the nodes: each is the only one at its place that weights have touched (so
// everything behind depends on it alone), is float, is read by a layer with weights or by several nodes, and is no
// output of the graph. Where there are more, those nearest to equal shares of the multiply-accumulates.
std::vector<ValueId> block_outputs(const Graph& graph, size_t most);

// The graph with further outputs: values by name. Throws (exit 2) with the nearest name when one is not a computed
// value.
Graph with_outputs(const Graph& graph, const std::vector<std::string>& names);

}  // namespace pare
