#include "src/graph/edit.hpp"

#include <fmt/format.h>

namespace pare {

std::string unused_name(const Graph& graph, const std::string& wanted) {
  std::string name = wanted;
  for (int i = 1; graph.find(name) != no_value; ++i) name = fmt::format("{}_{}", wanted, i);
  return name;
}

ValueId add_constant_value(Graph& graph, const std::string& wanted, Tensor tensor) {
  const ValueId id = add_computed_value(graph, wanted, tensor.dtype, tensor.shape);
  graph.value(id).constant = std::move(tensor);
  return id;
}

ValueId add_computed_value(Graph& graph, const std::string& wanted, DType dtype, std::optional<Shape> shape) {
  const ValueId id = graph.add_value(unused_name(graph, wanted));
  graph.value(id).dtype = dtype;
  graph.value(id).shape = std::move(shape);
  return id;
}

Tensor scalar_tensor(float value) { return Tensor::of<float>(DType::float32, {}, {value}); }

Tensor scalar_tensor(int64_t value) { return Tensor::of<int64_t>(DType::int64, {}, {value}); }

void NodeInsertions::apply(Graph& graph) {
  std::vector<Node> nodes;
  nodes.reserve(graph.nodes.size() + before.size());
  for (size_t i = 0; i <= graph.nodes.size(); ++i) {
    if (const auto found = before.find(i); found != before.end())
      for (Node& node : found->second) nodes.push_back(std::move(node));
    if (i < graph.nodes.size()) nodes.push_back(std::move(graph.nodes[i]));
  }
  graph.nodes = std::move(nodes);
  before.clear();
}

}  // namespace pare
