#include "src/graph/node_inputs.hpp"

#include <algorithm>

#include "src/graph/known_value.hpp"

namespace pare {

const std::optional<Shape>& shape_of(const Graph& graph, const Node& node, size_t index) {
  static const std::optional<Shape> unknown;
  const ValueId id = node.input(index);
  return id == no_value ? unknown : graph.value(id).shape;
}

std::optional<std::vector<int64_t>> known_sizes(const Graph& graph, const Node& node, size_t index) {
  const ValueId id = node.input(index);
  if (id == no_value) return std::nullopt;
  const Value& value = graph.value(id);
  if (value.constant) return to_int64(*value.constant);
  if (!value.known || is_float(value.known->dtype)) return std::nullopt;
  std::vector<int64_t> sizes;
  for (const Element& element : value.known->elements)
    sizes.push_back(element.known ? element.integer : unknown_element);
  return sizes;
}

std::optional<std::vector<int64_t>> constant_integers(const Graph& graph, const Node& node, size_t index) {
  auto sizes = known_sizes(graph, node, index);
  if (sizes && std::find(sizes->begin(), sizes->end(), unknown_element) != sizes->end()) {
    const ValueId id = node.input(index);
    if (!graph.value(id).constant) return std::nullopt;
  }
  return sizes;
}

}  // namespace pare
