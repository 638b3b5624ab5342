// ReduceMean over height and width as GlobalAveragePool, which runtimes have an integer kernel for.
#pragma once

#include "src/graph/graph.hpp"

namespace pare {

// Rewrites each ReduceMean over all but the first two dimensions of a value of known rank >= 3, in place; without
// keepdims a Squeeze follows. Returns how many were rewritten.
int mean_as_pool(Graph& graph);

}  // namespace pare
