// Shape rules of quantized operators: those of the operators that they are quantized forms of.
#include "src/graph/node_inputs.hpp"
#include "src/graph/shape_rules.hpp"

namespace pare::shape_rules {
namespace {

// The node with those inputs alone that the float operator has: without scales and zero points.
Node float_form(const Node& node, const std::vector<size_t>& operands) {
  Node plain = node;
  plain.inputs.clear();
  for (const size_t operand : operands) plain.inputs.push_back(node.input(operand));
  return plain;
}

bool is_channels_last(const Node& node) { return node.integer("channels_last", 0) != 0; }

}  // namespace

Shapes dynamic_quantize_shape(const Graph& graph, const Node& node) {
  Shapes shapes(3);
  shapes[0] = shape_of(graph, node, 0);
  shapes[1] = Shape{};
  shapes[2] = Shape{};
  return shapes;
}

Shapes q_linear_matmul_shape(const Graph& graph, const Node& node) {
  return matmul_shape(graph, float_form(node, {0, 3}));
}

Shapes q_linear_conv_shape(const Graph& graph, const Node& node) { return conv_shape(graph, float_form(node, {0, 3})); }

Shapes q_gemm_shape(const Graph& graph, const Node& node) { return gemm_shape(graph, float_form(node, {0, 3})); }

Shapes q_linear_binary_shape(const Graph& graph, const Node& node) {
  return broadcast_shape(graph, float_form(node, {0, 3}));
}

Shapes q_linear_where_shape(const Graph& graph, const Node& node) {
  return broadcast_shape(graph, float_form(node, {0, 1, 4}));
}

Shapes q_linear_concat_shape(const Graph& graph, const Node& node) {
  std::vector<size_t> operands;
  for (size_t i = 2; i < node.inputs.size(); i += 3) operands.push_back(i);
  return concat_shape(graph, float_form(node, operands));
}

Shapes q_linear_pool_shape(const Graph& graph, const Node& node) {
  return is_channels_last(node) ? std::nullopt : pool_shape(graph, node);
}

Shapes q_linear_global_pool_shape(const Graph& graph, const Node& node) {
  return is_channels_last(node) ? std::nullopt : global_pool_shape(graph, node);
}

// R lies as [directions, hidden, 4 * hidden], LSTM's as [directions, 4 * hidden, hidden].
Shapes dynamic_quantize_lstm_shape(const Graph& graph, const Node& node) {
  const auto& x = shape_of(graph, node, 0);
  const auto& recurrent = shape_of(graph, node, 2);
  if (!x || !recurrent || x->size() != 3 || recurrent->size() != 3) return std::nullopt;
  Shapes shapes(3);
  shapes[0] = Shape{(*x)[0], (*recurrent)[0], (*x)[1], (*recurrent)[1]};
  shapes[1] = Shape{(*recurrent)[0], (*x)[1], (*recurrent)[1]};
  shapes[2] = shapes[1];
  return shapes;
}

}  // namespace pare::shape_rules
