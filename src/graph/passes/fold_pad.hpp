// Padding with zeros in front of a convolution as the convolution's own padding.
#pragma once

#include "src/graph/graph.hpp"

namespace pare {

// Folds each constant Pad of zeros over the spatial dimensions whose only reader is a Conv with explicit pads, in
// place. Returns how many were folded.
int fold_pad(Graph& graph);

}  // namespace pare
