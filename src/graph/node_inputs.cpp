#include "src/graph/node_inputs.hpp"

namespace pare {

const std::optional<Shape>& shape_of(const Graph& graph, const Node& node, size_t index) {
  static const std::optional<Shape> unknown;
  const ValueId id = node.input(index);
  return id == no_value ? unknown : graph.value(id).shape;
}

std::optional<std::vector<int64_t>> constant_integers(const Graph& graph, const Node& node, size_t index) {
  const ValueId id = node.input(index);
  if (id == no_value || !graph.value(id).constant) return std::nullopt;
  return to_int64(*graph.value(id).constant);
}

}  // namespace pare
