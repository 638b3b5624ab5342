// What is known of a node's inputs before anything runs.
#pragma once

#include <limits>
#include <optional>

#include "src/graph/graph.hpp"

namespace pare {

// The input's shape; no value when the input is left out or its rank is unknown.
const std::optional<Shape>& shape_of(const Graph& graph, const Node& node, size_t index);

// The integers of an input that is constant or follows from constants and shapes; no value when it is left out or not
// known.
std::optional<std::vector<int64_t>> constant_integers(const Graph& graph, const Node& node, size_t index);

// An element of known_sizes that is not known; -1 is what files write for "infer this size".
inline constexpr int64_t unknown_element = std::numeric_limits<int64_t>::min();

// As constant_integers, when some of the elements may be unknown.
std::optional<std::vector<int64_t>> known_sizes(const Graph& graph, const Node& node, size_t index);

}  // namespace pare
