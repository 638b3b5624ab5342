// For graphs that only run: BatchNormalization behind a convolution becomes part of its weight and bias.
#pragma once

#include "src/graph/graph.hpp"

namespace pare {

// Folds each BatchNormalization whose input is the only use of a Conv with constant fp32 weight, in place; others stay.
// Computed in double and rounded once. Returns how many were folded.
int fold_batch_normalization(Graph& graph);

}  // namespace pare
