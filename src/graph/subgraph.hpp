// The subgraphs of If, Loop and Scan.
#pragma once

#include "src/graph/graph.hpp"

namespace pare {

// A copy of `body`, a subgraph of `node`, in which its captured inputs have the types, shapes and known elements of the
// values around; captured constants are constants. Inputs that the operator gives (Loop, Scan) have no shape: the
// file's may not hold for every iteration.
Graph seen_from(const Graph& outer, const Node& node, const Graph& body);

// The subgraphs among a node's attributes, by attribute name.
std::vector<std::pair<std::string, Subgraph>> subgraphs_of(const Node& node);

// Calls `visit(graph)` for the graph and all graphs inside.
template <class Visit>
void for_each_graph(const Graph& graph, Visit&& visit) {
  visit(graph);
  for (const Node& node : graph.nodes)
    for (const auto& [name, body] : subgraphs_of(node)) for_each_graph(*body, visit);
}

}  // namespace pare
