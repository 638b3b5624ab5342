#include "src/graph/cost.hpp"

#include <algorithm>

#include "src/graph/node_inputs.hpp"
#include "src/graph/shape_rules.hpp"
#include "src/graph/subgraph.hpp"

namespace pare {
namespace {

int64_t known_elements(const std::optional<Shape>& shape) {
  if (!shape) return -1;
  int64_t count = 1;
  for (const int64_t size : *shape) {
    if (size < 0) return -1;
    count *= size;
  }
  return count;
}

// Every output element of Conv, Gemm and MatMul is a sum over this many products; -1 when unknown.
int64_t inner_size(const Graph& graph, const Node& node) {
  const ValueId weight = node.input(1);
  if (weight == no_value || !graph.value(weight).shape) return -1;
  const Shape& shape = *graph.value(weight).shape;
  if (node.op == "Conv") {
    int64_t size = 1;
    for (size_t i = 1; i < shape.size(); ++i) size *= shape[i];
    return size;
  }
  if (node.op == "Gemm") return shape.size() == 2 ? shape[node.integer("transB", 0) != 0 ? 1 : 0] : -1;
  return shape.size() >= 2 ? shape[shape.size() - 2] : shape.empty() ? -1 : shape[0];
}

// Each step multiplies the input and the state with all gates' matrices: W [directions, gates * hidden, input] and
// R [directions, gates * hidden, hidden].
int64_t recurrent_macs(const Graph& graph, const Node& node) {
  const auto& x = shape_of(graph, node, 0);
  const int64_t weights = known_elements(shape_of(graph, node, 1));
  const int64_t state = known_elements(shape_of(graph, node, 2));
  if (!x || x->size() != 3 || (*x)[0] < 0 || (*x)[1] < 0 || weights < 0 || state < 0) return -1;
  return (*x)[0] * (*x)[1] * (weights + state);
}

int64_t macs_of(const Graph& graph, const Node& node) {
  if (!node.domain.empty()) return 0;
  if (node.op == "LSTM" || node.op == "GRU" || node.op == "RNN") return recurrent_macs(graph, node);
  if (node.op == "ConvTranspose") {
    // Every input element is multiplied with its channel's window: W [channels, outputs / group, window...].
    const auto& weight = shape_of(graph, node, 1);
    const int64_t inputs = known_elements(shape_of(graph, node, 0));
    const int64_t weights = known_elements(weight);
    return inputs < 0 || weights < 0 || (*weight)[0] == 0 ? -1 : inputs * (weights / (*weight)[0]);
  }
  if (node.op != "Conv" && node.op != "Gemm" && node.op != "MatMul") return 0;
  const int64_t outputs = known_elements(graph.value(node.outputs[0]).shape);
  const int64_t inner = inner_size(graph, node);
  return outputs < 0 || inner < 0 ? -1 : outputs * inner;
}

bool is_quantizer(const Node& node) {
  return node.domain.empty() && (node.op == "DequantizeLinear" || node.op == "QuantizeLinear");
}

// Which constants are parameters: floats, but not the scales of quantized values; and integers that are dequantized,
// behind a Gather too.
std::vector<bool> parameters_of(const Graph& graph) {
  std::vector<bool> parameter(graph.values.size(), false);
  std::vector<ValueId> table(graph.values.size(), no_value);  // of values that a Gather takes out of a constant
  const auto is_constant = [&](ValueId id) { return id != no_value && graph.value(id).constant.has_value(); };
  for (size_t i = 0; i < graph.values.size(); ++i)
    parameter[i] = graph.values[i].constant && is_float(graph.values[i].constant->dtype);
  for (const Node& node : graph.nodes)
    if (is_quantizer(node) && is_constant(node.input(1))) parameter[static_cast<size_t>(node.inputs[1])] = false;
  for (const Node& node : graph.nodes) {
    if (node.domain.empty() && node.op == "Gather" && is_constant(node.input(0)))
      table[static_cast<size_t>(node.outputs[0])] = node.inputs[0];
    if (!is_quantizer(node) || node.op != "DequantizeLinear" || node.input(0) == no_value) continue;
    const ValueId source = is_constant(node.inputs[0]) ? node.inputs[0] : table[static_cast<size_t>(node.inputs[0])];
    if (source != no_value) parameter[static_cast<size_t>(source)] = true;
  }
  return parameter;
}

// Adds the rows of a graph's nodes; `sized` is the graph with shapes. Returns its MACs.
int64_t add_nodes(const Graph& graph, const Graph& sized, const std::vector<bool>& parameters, GraphCost& cost) {
  int64_t macs = 0;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    NodeCost row{&graph, &node, 0, macs_of(sized, sized.nodes[i])};
    for (size_t j = 0; j + node.captured < node.inputs.size(); ++j)
      if (node.inputs[j] != no_value && parameters[static_cast<size_t>(node.inputs[j])])
        row.parameters += graph.value(node.inputs[j]).constant->elements();
    if (row.macs > 0) macs += row.macs;
    for (const ValueId output : node.outputs)
      if (output != no_value) cost.activations += std::max<int64_t>(0, known_elements(sized.value(output).shape));
    cost.nodes.push_back(row);
    int64_t largest_body = 0;
    for (const auto& [name, subgraph] : subgraphs_of(node)) {
      Graph body = seen_from(sized, sized.nodes[i], *subgraph);
      infer_shapes(body);
      largest_body = std::max(largest_body, add_nodes(*subgraph, body, parameters_of(*subgraph), cost));
    }
    macs += largest_body;
  }
  return macs;
}

}  // namespace

GraphCost graph_cost(const Graph& graph) {
  Graph sized = graph;
  for (const Port& input : sized.inputs) {
    auto& shape = sized.value(input.value).shape;
    if (shape && !shape->empty() && shape->front() < 0) shape->front() = 1;
  }
  infer_shapes(sized);
  GraphCost cost;
  const std::vector<bool> parameters = parameters_of(graph);
  for (size_t i = 0; i < graph.values.size(); ++i) {
    const Value& value = graph.values[i];
    if (!parameters[i]) continue;
    const int64_t elements = value.constant->elements();
    const int64_t nonzero = count_nonzero(*value.constant);
    cost.parameters += elements;
    cost.nonzero += nonzero;
    if (value.constant->shape.size() < 2) continue;
    cost.weights += elements;
    cost.weights_nonzero += nonzero;
  }
  cost.macs = add_nodes(graph, sized, parameters, cost);
  return cost;
}

}  // namespace pare
