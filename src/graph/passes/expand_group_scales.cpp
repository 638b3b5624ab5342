#include "src/graph/passes/expand_group_scales.hpp"

namespace pare {
namespace {

Node made(const Node& by, const std::string& op, std::vector<ValueId> inputs, ValueId output) {
  Node node;
  node.op = op;
  node.name = by.name + "/" + op + (op == "Reshape" && inputs[0] != by.inputs.at(0) ? "_back" : "");
  node.inputs = std::move(inputs);
  node.outputs = {output};
  return node;
}

ValueId added_value(Graph& graph, DType dtype) {
  const ValueId id = graph.add_value("");
  graph.value(id).dtype = dtype;
  return id;
}

}  // namespace

void expand_group_scales(Graph& graph) {
  std::vector<Node> nodes;
  for (Node& node : graph.nodes) {
    if (!node.domain.empty() || node.op != "GroupNormalization") {
      nodes.push_back(std::move(node));
      continue;
    }
    const ValueId input = node.inputs.at(0);
    const ValueId sizes = added_value(graph, DType::int64);
    const ValueId target = added_value(graph, DType::int64);
    const ValueId groups = added_value(graph, graph.value(input).dtype);
    const ValueId normalised = added_value(graph, graph.value(input).dtype);
    const std::vector<int64_t> shape{0, node.integer("num_groups", 1), -1};
    graph.value(target).constant = Tensor::of<int64_t>(DType::int64, {3}, shape);
    graph.value(target).shape = Shape{3};
    nodes.push_back(made(node, "Shape", {input}, sizes));
    nodes.push_back(made(node, "Reshape", {input, target}, groups));
    Node norm = made(node, "InstanceNormalization", {groups, node.inputs.at(1), node.inputs.at(2)}, normalised);
    norm.attributes["epsilon"] = node.real("epsilon", 1e-5f);
    nodes.push_back(std::move(norm));
    nodes.push_back(made(node, "Reshape", {normalised, sizes}, node.outputs.at(0)));
  }
  graph.nodes = std::move(nodes);
}

}  // namespace pare
