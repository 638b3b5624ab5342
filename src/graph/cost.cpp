#include "src/graph/cost.hpp"

#include <algorithm>
#include <iterator>

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

// How a product's second operand lies: [outputs, inner...], [inner, outputs] or with transB the other way round,
// [..., inner, outputs].
enum class Layout { convolution, gemm, matmul };

struct Product {
  std::string_view domain;
  std::string_view op;
  Layout layout;
  size_t weight;  // the input that the second operand is
};

constexpr Product products[] = {
    {"", "Conv", Layout::convolution, 1},
    {"", "ConvInteger", Layout::convolution, 1},
    {"", "Gemm", Layout::gemm, 1},
    {"", "MatMul", Layout::matmul, 1},
    {"", "MatMulInteger", Layout::matmul, 1},
    {"", "QLinearConv", Layout::convolution, 3},
    {"", "QLinearMatMul", Layout::matmul, 3},
    {"com.microsoft", "DynamicQuantizeMatMul", Layout::matmul, 1},
    {"com.microsoft", "FusedMatMul", Layout::gemm, 1},
    {"com.microsoft", "MatMulIntegerToFloat", Layout::matmul, 1},
    {"com.microsoft", "QGemm", Layout::gemm, 3},
};

// Every output element of a product is a sum over this many products; -1 when unknown.
int64_t inner_size(const Graph& graph, const Node& node, const Product& product) {
  const auto& shape = shape_of(graph, node, product.weight);
  if (!shape || shape->empty()) return -1;
  if (product.layout == Layout::convolution) return known_elements(Shape(shape->begin() + 1, shape->end()));
  if (shape->size() == 1) return shape->front();
  const bool transposed = product.layout == Layout::gemm && node.integer("transB", 0) != 0;
  return transposed ? shape->back() : (*shape)[shape->size() - 2];
}

int64_t product_macs(const Graph& graph, const Node& node, const Product& product) {
  const int64_t outputs = known_elements(graph.value(node.outputs[0]).shape);
  const int64_t inner = inner_size(graph, node, product);
  return outputs < 0 || inner < 0 ? -1 : outputs * inner;
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

// Every input element is multiplied with its channel's window: W [channels, outputs / group, window...].
int64_t transposed_convolution_macs(const Graph& graph, const Node& node) {
  const auto& weight = shape_of(graph, node, 1);
  const int64_t inputs = known_elements(shape_of(graph, node, 0));
  const int64_t weights = known_elements(weight);
  return inputs < 0 || weights < 0 || (*weight)[0] == 0 ? -1 : inputs * (weights / (*weight)[0]);
}

// Every output element is a sum over K, whatever the weight is packed as.
int64_t packed_product_macs(const Graph& graph, const Node& node) {
  const int64_t outputs = known_elements(graph.value(node.outputs[0]).shape);
  return outputs < 0 ? -1 : outputs * node.integer("K", 0);
}

// Queries [B, S, H] against keys of the length T, and the weights against values: B S T (H + width of the values).
int64_t scores_macs(const Shape& queries, int64_t keys, int64_t width) {
  if (queries.size() != 3 || known_elements(queries) < 0 || keys < 0 || width < 0) return -1;
  return queries[0] * queries[1] * keys * (queries[2] + width);
}

// The length of a sequence of keys [B, T, H] or [B, heads, T, D], with `past` [..., T, D] in front; -1 when unknown.
int64_t keys_of(const std::optional<Shape>& keys, const std::optional<Shape>& past) {
  if (!keys || keys->size() < 3) return -1;
  const int64_t own = (*keys)[keys->size() - 2];
  if (!past) return own;
  const int64_t before = past->size() < 2 ? -1 : (*past)[past->size() - 2];
  return own < 0 || before < 0 ? -1 : own + before;
}

// One weight [H, Q + K + V] projects the input [B, S, H] to queries, keys and values.
int64_t packed_attention_macs(const Graph& graph, const Node& node) {
  const auto& x = shape_of(graph, node, 0);
  const auto& y = graph.value(node.outputs[0]).shape;
  const auto& past = shape_of(graph, node, node.op == "QAttention" ? 8 : 4);
  const int64_t weights = known_elements(shape_of(graph, node, 1));
  if (!x || !y || x->size() != 3 || y->size() != 3 || weights < 0) return -1;
  const auto sizes = node.integers("qkv_hidden_sizes", {});
  const int64_t projected = (*x)[2] > 0 ? weights / (*x)[2] : -1;
  const int64_t queries = sizes.size() == 3 ? sizes[0] : projected < 0 ? -1 : projected / 3;
  const int64_t scores = scores_macs({(*x)[0], (*x)[1], queries}, keys_of(*x, past), (*y)[2]);
  return scores < 0 ? -1 : (*x)[0] * (*x)[1] * weights + scores;
}

// Queries and keys that are projected already.
int64_t attention_macs(const Graph& graph, const Node& node) {
  const auto& y = graph.value(node.outputs[0]).shape;
  std::optional<Shape> q = shape_of(graph, node, 0);
  const auto& keys = shape_of(graph, node, 1);
  const int64_t length = keys_of(keys, shape_of(graph, node, node.domain.empty() ? 4 : 6));
  if (!q || !y || y->size() != q->size()) return -1;
  if (q->size() == 3) return scores_macs(*q, length, y->back());
  if (q->size() != 4 || known_elements(*q) < 0) return -1;
  return scores_macs({(*q)[0] * (*q)[1], (*q)[2], (*q)[3]}, length, y->back());
}

int64_t macs_of(const Graph& graph, const Node& node) {
  const auto* product = std::find_if(std::begin(products), std::end(products), [&](const Product& row) {
    return row.op == node.op && row.domain == node.domain;
  });
  if (product != std::end(products)) return product_macs(graph, node, *product);
  if (node.op == "LSTM" || node.op == "GRU" || node.op == "RNN" || node.op == "DynamicQuantizeLSTM")
    return recurrent_macs(graph, node);
  if (node.op == "ConvTranspose") return transposed_convolution_macs(graph, node);
  if (node.op == "MatMulNBits") return packed_product_macs(graph, node);
  if (node.op == "MultiHeadAttention" || (node.op == "Attention" && node.domain.empty()))
    return attention_macs(graph, node);
  if (node.op == "QAttention" || node.op == "Attention") return packed_attention_macs(graph, node);
  return 0;
}

// The inputs of a node on integers that are weights, and those that are scales or zero points in float.
struct IntegerInputs {
  std::string_view domain;
  std::string_view op;
  std::vector<size_t> weights;
  std::vector<size_t> scales;
};

const IntegerInputs* integer_inputs(const Node& node) {
  static const IntegerInputs rows[] = {
      {"", "ConvInteger", {1}, {}},
      {"", "DequantizeLinear", {0}, {1}},
      {"", "MatMulInteger", {0, 1}, {}},
      {"", "QLinearConv", {3, 8}, {1, 4, 6}},
      {"", "QLinearMatMul", {0, 3}, {1, 4, 6}},
      {"", "QuantizeLinear", {}, {1}},
      {"com.microsoft", "DequantizeLinear", {0}, {1}},
      {"com.microsoft", "DynamicQuantizeLSTM", {1, 2}, {8, 10}},
      {"com.microsoft", "DynamicQuantizeMatMul", {1}, {2}},
      {"com.microsoft", "MatMulIntegerToFloat", {0, 1}, {2, 3}},
      {"com.microsoft", "QAttention", {1}, {3, 4}},
      {"com.microsoft", "QEmbedLayerNormalization", {2, 3, 4, 5, 6}, {8, 9, 10, 11, 12}},
      {"com.microsoft", "QGemm", {3, 6}, {1, 4, 7}},
      {"com.microsoft", "QLinearAdd", {0, 3}, {1, 4, 6}},
      {"com.microsoft", "QLinearAveragePool", {}, {1, 3}},
      {"com.microsoft", "QLinearConcat", {}, {0}},
      {"com.microsoft", "QLinearGlobalAveragePool", {}, {1, 3}},
      {"com.microsoft", "QLinearLeakyRelu", {}, {1, 3}},
      {"com.microsoft", "QLinearMul", {0, 3}, {1, 4, 6}},
      {"com.microsoft", "QLinearSigmoid", {}, {1, 3}},
      {"com.microsoft", "QLinearSoftmax", {}, {1, 3}},
      {"com.microsoft", "QLinearWhere", {1, 4}, {2, 5, 7}},
      {"com.microsoft", "QuantizeLinear", {}, {1}},
  };
  const auto* found = std::find_if(std::begin(rows), std::end(rows), [&](const IntegerInputs& row) {
    return row.op == node.op && row.domain == node.domain;
  });
  return found == std::end(rows) ? nullptr : found;
}

// The scales among the inputs; QLinearConcat has one for each of its operands.
std::vector<size_t> scales_of(const Node& node, const IntegerInputs& inputs) {
  std::vector<size_t> scales = inputs.scales;
  if (node.op == "QLinearConcat")
    for (size_t i = 3; i < node.inputs.size(); i += 3) scales.push_back(i);
  return scales;
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

std::vector<bool> parameters_of(const Graph& graph) {
  std::vector<bool> parameter(graph.values.size(), false);
  std::vector<ValueId> table(graph.values.size(), no_value);  // of values that a Gather takes out of a constant
  const auto is_constant = [&](ValueId id) { return id != no_value && graph.value(id).constant.has_value(); };
  for (size_t i = 0; i < graph.values.size(); ++i)
    parameter[i] = graph.values[i].constant && is_float(graph.values[i].constant->dtype);
  for (const Node& node : graph.nodes) {
    const IntegerInputs* inputs = integer_inputs(node);
    if (inputs == nullptr) continue;
    for (const size_t scale : scales_of(node, *inputs))
      if (is_constant(node.input(scale))) parameter[static_cast<size_t>(node.inputs[scale])] = false;
  }
  for (const Node& node : graph.nodes) {
    if (node.domain.empty() && node.op == "Gather" && is_constant(node.input(0)))
      table[static_cast<size_t>(node.outputs[0])] = node.inputs[0];
    const IntegerInputs* inputs = integer_inputs(node);
    if (inputs == nullptr) continue;
    for (const size_t weight : inputs->weights) {
      const ValueId id = node.input(weight);
      if (id == no_value) continue;
      const ValueId source = is_constant(id) ? id : table[static_cast<size_t>(id)];
      if (source != no_value) parameter[static_cast<size_t>(source)] = true;
    }
  }
  return parameter;
}

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
