#include "src/graph/passes/mean_as_pool.hpp"

#include <algorithm>

#include "src/graph/edit.hpp"
#include "src/graph/node_inputs.hpp"

namespace pare {
namespace {

// The axes behind batch and channels when the node means them all; empty otherwise.
std::vector<int64_t> spatial_axes(const Graph& graph, const Node& node) {
  if (!node.domain.empty() || node.op != "ReduceMean") return {};
  const auto& shape = shape_of(graph, node, 0);
  auto axes = constant_integers(graph, node, 1);
  if (!shape || shape->size() < 3 || !axes) return {};
  const auto rank = static_cast<int64_t>(shape->size());
  for (int64_t& axis : *axes) axis = axis < 0 ? axis + rank : axis;
  std::sort(axes->begin(), axes->end());
  std::vector<int64_t> spatial;
  for (int64_t axis = 2; axis < rank; ++axis) spatial.push_back(axis);
  return *axes == spatial ? spatial : std::vector<int64_t>{};
}

}  // namespace

int mean_as_pool(Graph& graph) {
  int rewritten = 0;
  NodeInsertions insertions;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const std::vector<int64_t> axes = spatial_axes(graph, graph.nodes[i]);
    if (axes.empty()) continue;
    Node& node = graph.nodes[i];
    const bool keep = node.integer("keepdims", 1) != 0;
    node.op = "GlobalAveragePool";
    node.inputs.resize(1);
    node.attributes.clear();
    ++rewritten;
    if (keep) continue;
    const ValueId result = node.outputs[0];
    const std::string name = node.name;
    const ValueId pooled = add_computed_value(graph, name + "_pooled", graph.value(result).dtype, std::nullopt);
    const ValueId squeezed = add_constant_value(
        graph, name + "_axes", Tensor::of<int64_t>(DType::int64, {static_cast<int64_t>(axes.size())}, axes));
    graph.nodes[i].outputs[0] = pooled;
    insertions.before[i + 1].push_back({name + "_Squeeze", "", "Squeeze", {pooled, squeezed}, {result}, {}});
  }
  insertions.apply(graph);
  return rewritten;
}

}  // namespace pare
