// Nodes whose results follow from shapes and constants become constants.
#pragma once

#include "src/graph/graph.hpp"

namespace pare {

// Infers shapes, then replaces nodes that compute small values (sizes, indices, masks) from shapes and constants alone;
// results of float constants with several elements stay computed, because training changes those. The shapes of the
// inputs must be those that the graph will run with: set the sizes that vary to -1 before. Names of values stay; float
// results count as constants of the model afterwards (roles.hpp), so fold a copy where that matters. Returns how many
// nodes went.
int fold_sizes(Graph& graph);

// Removes nodes whose outputs nobody reads. Returns how many.
int remove_dead_nodes(Graph& graph);

// Lets the readers of an Identity read its input; one that produces an output of the graph stays. Returns how many
// went.
int remove_identities(Graph& graph);

}  // namespace pare
