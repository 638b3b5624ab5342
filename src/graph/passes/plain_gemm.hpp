// Gemm with alpha = beta = 1.
#pragma once

#include "src/graph/graph.hpp"

namespace pare {

// Multiplies other factors into constant fp32 weights and biases that nothing else reads, in place. Returns how many
// nodes were rewritten.
int plain_gemm(Graph& graph);

}  // namespace pare
