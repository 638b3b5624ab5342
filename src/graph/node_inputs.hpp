// What is known of a node's inputs before anything runs.
#pragma once

#include <optional>

#include "src/graph/graph.hpp"

namespace pare {

// The input's shape; no value when the input is left out or its rank is unknown.
const std::optional<Shape>& shape_of(const Graph& graph, const Node& node, size_t index);

// The integers of a constant input; no value when it is left out or not constant.
std::optional<std::vector<int64_t>> constant_integers(const Graph& graph, const Node& node, size_t index);

}  // namespace pare
