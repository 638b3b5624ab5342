// For graphs that only run: what depends on constants alone is computed once, when the plan is made.
#pragma once

#include "src/graph/graph.hpp"

namespace pare {

// Replaces every node whose inputs are all constants by constants: dequantized weights, transposed matrices, tables.
// Results that are much larger than what they are made of stay computed. Constants that nothing reads afterwards are
// let go. Returns how many nodes were folded.
int fold_constants(Graph& graph);

}  // namespace pare
