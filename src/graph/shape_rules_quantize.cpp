// Shape rules of quantized operators: those of the operators that they are quantized forms of.
#include "src/graph/node_inputs.hpp"
#include "src/graph/shape_rules.hpp"

namespace pare::shape_rules {

Shapes dynamic_quantize_shape(const Graph& graph, const Node& node) {
  Shapes shapes(3);
  shapes[0] = shape_of(graph, node, 0);
  shapes[1] = Shape{};
  shapes[2] = Shape{};
  return shapes;
}

namespace {

// The node without the scales and zero points between its operands.
Node float_form(const Node& node) {
  Node plain = node;
  plain.inputs = {node.input(0), node.input(3)};
  return plain;
}

}  // namespace

Shapes q_linear_matmul_shape(const Graph& graph, const Node& node) { return matmul_shape(graph, float_form(node)); }

Shapes q_linear_conv_shape(const Graph& graph, const Node& node) { return conv_shape(graph, float_form(node)); }

}  // namespace pare::shape_rules
