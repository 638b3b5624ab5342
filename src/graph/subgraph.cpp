#include "src/graph/subgraph.hpp"

namespace pare {

Graph seen_from(const Graph& outer, const Node& node, const Graph& body) {
  Graph result = body;
  const size_t own = body.inputs.size() - node.captured;
  for (size_t i = 0; i < own; ++i) result.value(result.inputs[i].value).shape.reset();
  for (size_t i = 0; i < node.captured; ++i) {
    const Value& source = outer.value(node.inputs[node.inputs.size() - node.captured + i]);
    Value& inner = result.value(result.inputs[own + i].value);
    inner.dtype = source.dtype;
    inner.shape = source.shape;
    inner.constant = source.constant;
    inner.known = source.known;
  }
  return result;
}

std::vector<std::pair<std::string, Subgraph>> subgraphs_of(const Node& node) {
  std::vector<std::pair<std::string, Subgraph>> bodies;
  for (const auto& [name, attribute] : node.attributes)
    if (const auto* body = std::get_if<Subgraph>(&attribute)) bodies.emplace_back(name, *body);
  return bodies;
}

}  // namespace pare
