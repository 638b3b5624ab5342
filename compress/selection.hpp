// Which weights a command works on: globs over the names of tensors and of the nodes that read them.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "src/graph/graph.hpp"

namespace pare {

// Names of the weights (Role::weight) that any `include` glob matches (all when it is empty) and no `exclude` glob
// does; with `moved` those of Role::moved_weight too. Globs are those of POSIX fnmatch. Throws (exit 2) naming a glob
// that matches no weight.
std::set<std::string> select_weights(const Graph& graph, const std::vector<std::string>& include,
                                     const std::vector<std::string>& exclude, bool moved = false);

// The same over all float constants of rank 2 or more: embeddings too.
std::set<std::string> select_tensors(const Graph& graph, const std::vector<std::string>& include,
                                     const std::vector<std::string>& exclude);

}  // namespace pare
