// Activations that exporters spell out, as the one operator that they are.
#pragma once

#include <set>

#include "src/graph/graph.hpp"

namespace pare {

// Rewrites the last node of x * Sigmoid(x) to Swish, of x * HardSigmoid(x) and x * Clip(x + 3, 0, 6) / 6 to HardSwish,
// and of 0.5 * x * (1 + Erf(x / sqrt(2))) to Gelu, whatever the order of their factors; what nobody reads any more
// stays for remove_dead_nodes. Values between lose their readers, apart from `kept` ones, whose activations stay as
// they are: for graphs that only run, and observations of these. Returns how many were rewritten.
int fuse_activations(Graph& graph, const std::set<ValueId>& kept = {});

}  // namespace pare
