#include "src/graph/passes/expand_flattening_softmax.hpp"

#include <algorithm>

#include "src/graph/shape_rules.hpp"

namespace pare {
namespace {

bool flattens(const Node& node) {
  return node.domain.empty() && (node.op == "Softmax" || node.op == "LogSoftmax" || node.op == "Hardmax");
}

// The one dimension that is normalised when at most one of those from `axis` on is not 1; nullopt when several are, or
// may be.
std::optional<int64_t> single_axis(const std::optional<Shape>& shape, int64_t axis) {
  if (!shape) return std::nullopt;
  const auto rank = static_cast<int64_t>(shape->size());
  if (axis < 0) axis += rank;
  int64_t found = axis;
  int wide = 0;
  for (int64_t i = std::max<int64_t>(axis, 0); i < rank; ++i) {
    if ((*shape)[static_cast<size_t>(i)] == 1) continue;
    found = i;
    ++wide;
  }
  return wide <= 1 && found < rank ? std::optional(found) : std::nullopt;
}

Node made(const Node& by, const std::string& op, std::vector<ValueId> inputs, ValueId output) {
  Node node;
  node.op = op;
  node.name = by.name + "/" + op;
  node.inputs = std::move(inputs);
  node.outputs = {output};
  return node;
}

}  // namespace

void expand_flattening_softmax(Graph& graph) {
  if (std::none_of(graph.nodes.begin(), graph.nodes.end(), flattens)) return;
  Graph shaped = graph;
  infer_shapes(shaped);
  std::vector<Node> nodes;
  for (Node& node : graph.nodes) {
    if (!flattens(node)) {
      nodes.push_back(std::move(node));
      continue;
    }
    const int64_t axis = node.integer("axis", 1);
    if (const auto single = single_axis(shaped.value(node.inputs.at(0)).shape, axis)) {
      node.attributes["axis"] = *single;
      nodes.push_back(std::move(node));
      continue;
    }
    const ValueId input = node.inputs.at(0);
    const ValueId output = node.outputs.at(0);
    const ValueId sizes = graph.add_value("");
    const ValueId flat = graph.add_value("");
    const ValueId normalised = graph.add_value("");
    graph.value(sizes).dtype = DType::int64;
    graph.value(flat).dtype = graph.value(normalised).dtype = graph.value(input).dtype;
    nodes.push_back(made(node, "Shape", {input}, sizes));
    nodes.push_back(made(node, "Flatten", {input}, flat));
    nodes.back().attributes["axis"] = axis;
    nodes.push_back(made(node, "Reshape", {normalised, sizes}, output));
    node.attributes["axis"] = int64_t{-1};
    node.inputs = {flat};
    node.outputs = {normalised};
    nodes.insert(nodes.end() - 1, std::move(node));
  }
  graph.nodes = std::move(nodes);
}

}  // namespace pare
