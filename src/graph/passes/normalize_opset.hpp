// Brings every node to the semantics of opset 21, so that no other code asks for the file's opset.
#pragma once

#include "src/graph/graph.hpp"

namespace pare {

// Rewrites nodes of older opsets in place: attributes that became inputs, defaults that changed. Throws (exit 3) when
// the opset is older than 6 or newer than the newest known one, or when a node uses a form that no rule covers.
void normalize_opset(Graph& graph);

}  // namespace pare
