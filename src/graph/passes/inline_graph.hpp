// A graph in place of the node that stands for it: a local function's body, the branch of an If.
#pragma once

#include <vector>

#include "src/graph/graph.hpp"

namespace pare {

// Appends the nodes of `body` to `nodes`, with its values added to `target`: its inputs are `arguments` (missing ones
// count as left out), its outputs become `call.outputs`. Names get `call.name` in front. Throws (exit 3) naming the
// call when the body has too few outputs.
void inline_graph(Graph& target, const Graph& body, const Node& call, const std::vector<ValueId>& arguments,
                  std::vector<Node>& nodes);

// Replaces each If whose condition is a constant by the branch taken. Returns how many there were; branches may hold
// more of them.
int inline_constant_ifs(Graph& graph);

}  // namespace pare
