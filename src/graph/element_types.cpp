#include "src/graph/element_types.hpp"

#include <algorithm>
#include <iterator>

#include "src/graph/node_inputs.hpp"
#include "src/graph/shape_rules.hpp"
#include "src/graph/subgraph.hpp"

namespace pare {
namespace {

using Rule = DType (*)(const Graph& graph, const Node& node, size_t index);

DType of_input(const Graph& graph, const Node& node, size_t input) {
  const ValueId id = node.input(input);
  return id == no_value ? DType::undefined : graph.value(id).dtype;
}

template <size_t input>
DType as_input(const Graph& graph, const Node& node, size_t) {
  return of_input(graph, node, input);
}

// The same type for every output.
template <DType dtype>
DType always(const Graph&, const Node&, size_t) {
  return dtype;
}

// The first output is as the input of that number, the others are all of one type.
template <size_t input, DType others>
DType first_as_input(const Graph& graph, const Node& node, size_t index) {
  return index == 0 ? of_input(graph, node, input) : others;
}

DType attribute_or(const Node& node, std::string_view attribute, DType otherwise) {
  const auto given = static_cast<DType>(node.integer(attribute, 0));
  return given == DType::undefined ? otherwise : given;
}

DType cast(const Graph&, const Node& node, size_t) { return static_cast<DType>(node.integer("to", 0)); }

DType constant_of_shape(const Graph&, const Node& node, size_t) {
  const auto value = node.attributes.find("value");
  if (value == node.attributes.end()) return DType::float32;
  const auto* tensor = std::get_if<Tensor>(&value->second);
  return tensor != nullptr ? tensor->dtype : DType::undefined;
}

DType quantize_linear(const Graph& graph, const Node& node, size_t) {
  return node.input(2) != no_value ? of_input(graph, node, 2) : attribute_or(node, "output_dtype", DType::uint8);
}

DType dequantize_linear(const Graph& graph, const Node& node, size_t) {
  return attribute_or(node, "output_dtype", of_input(graph, node, 1));
}

DType dynamic_quantize_linear(const Graph&, const Node&, size_t index) {
  return index == 1 ? DType::float32 : DType::uint8;
}

// Mean and deviation are given in the type that they are computed in.
DType normalization(const Graph& graph, const Node& node, size_t index) {
  return index == 0 ? of_input(graph, node, 0) : attribute_or(node, "stash_type", DType::float32);
}

// Sums that are not quantized again are floats.
DType q_gemm(const Graph& graph, const Node& node, size_t) {
  return of_input(graph, node, node.input(7) != no_value ? 8 : 1);
}

// A body's inputs from `states` on are those of the node of the same number; its outputs from `outputs` on the node's.
struct BodyLayout {
  size_t states = 0;
  size_t outputs = 0;
};

// What the body declares of its output holds; types that it leaves open are inferred.
DType of_body(const Graph& graph, const Node& node, const char* attribute, size_t index, BodyLayout layout) {
  const Subgraph source = node.subgraph(attribute);
  const size_t output = layout.outputs + index;
  if (output >= source->outputs.size()) return DType::undefined;
  if (const DType declared = source->value(source->outputs[output].value).dtype; declared != DType::undefined)
    return declared;
  Graph body = seen_from(graph, node, *source);
  const size_t given = node.inputs.size() - node.captured, own = body.inputs.size() - node.captured;
  for (size_t i = layout.states; i < given && i < own; ++i)
    body.value(body.inputs[i].value).dtype = of_input(graph, node, i);
  infer_shapes(body);
  return body.value(body.outputs[output].value).dtype;
}

DType if_else(const Graph& graph, const Node& node, size_t index) {
  const BodyLayout layout{node.inputs.size(), 0};
  // A branch that is never taken need not make sense.
  const auto condition = constant_integers(graph, node, 0);
  if (condition && condition->size() == 1)
    return of_body(graph, node, condition->front() != 0 ? "then_branch" : "else_branch", index, layout);
  const DType yes = of_body(graph, node, "then_branch", index, layout);
  return yes != DType::undefined ? yes : of_body(graph, node, "else_branch", index, layout);
}

// Inputs: trip count, condition, states; the body has (iteration, condition, states) and gives a condition first.
DType loop(const Graph& graph, const Node& node, size_t index) { return of_body(graph, node, "body", index, {2, 1}); }

// The body's inputs are of the types of the node's: states, and slices of the sequences.
DType scan(const Graph& graph, const Node& node, size_t index) { return of_body(graph, node, "body", index, {0, 0}); }

struct Row {
  std::string_view domain;
  std::string_view op;
  Rule rule;
};

// Where an output is not simply of the type of the first input.
constexpr Row rows[] = {
    {"", "And", always<DType::boolean>},
    {"", "ArgMax", always<DType::int64>},
    {"", "ArgMin", always<DType::int64>},
    {"", "Cast", cast},
    {"", "CastLike", as_input<1>},
    {"", "ConstantOfShape", constant_of_shape},
    {"", "ConvInteger", always<DType::int32>},
    {"", "DequantizeLinear", dequantize_linear},
    {"", "Dropout", first_as_input<0, DType::boolean>},
    {"", "DynamicQuantizeLinear", dynamic_quantize_linear},
    {"", "Equal", always<DType::boolean>},
    {"", "EyeLike",
     [](const Graph& graph, const Node& node, size_t) {
       return attribute_or(node, "dtype", of_input(graph, node, 0));
     }},
    {"", "Greater", always<DType::boolean>},
    {"", "GreaterOrEqual", always<DType::boolean>},
    {"", "If", if_else},
    {"", "IsInf", always<DType::boolean>},
    {"", "IsNaN", always<DType::boolean>},
    {"", "LayerNormalization", normalization},
    {"", "Less", always<DType::boolean>},
    {"", "LessOrEqual", always<DType::boolean>},
    {"", "Loop", loop},
    {"", "MatMulInteger", always<DType::int32>},
    {"", "MaxPool", first_as_input<0, DType::int64>},
    {"", "NonMaxSuppression", always<DType::int64>},
    {"", "NonZero", always<DType::int64>},
    {"", "Not", always<DType::boolean>},
    {"", "OneHot", as_input<2>},
    {"", "Or", always<DType::boolean>},
    {"", "QLinearConv", as_input<7>},
    {"", "QLinearMatMul", as_input<7>},
    {"", "QuantizeLinear", quantize_linear},
    {"", "Scan", scan},
    {"", "Shape", always<DType::int64>},
    {"", "SimplifiedLayerNormalization", normalization},
    {"", "Size", always<DType::int64>},
    {"", "TopK", first_as_input<0, DType::int64>},
    {"", "Where", as_input<1>},
    {"", "Xor", always<DType::boolean>},
    {"com.microsoft", "DequantizeLinear", dequantize_linear},
    {"com.microsoft", "EmbedLayerNormalization",
     [](const Graph& graph, const Node& node, size_t index) {
       return index == 1 ? DType::int32 : of_input(graph, node, 2);
     }},
    {"com.microsoft", "MatMulIntegerToFloat", as_input<2>},
    {"com.microsoft", "QAttention", as_input<3>},
    {"com.microsoft", "QEmbedLayerNormalization", first_as_input<8, DType::int32>},
    {"com.microsoft", "QGemm", q_gemm},
    {"com.microsoft", "QLinearConcat", as_input<1>},
    {"com.microsoft", "QLinearWhere", as_input<1>},
    {"com.microsoft", "QuantizeLinear", quantize_linear},
};

}  // namespace

DType element_type(const Graph& graph, const Node& node, size_t index) {
  const auto* row = std::find_if(std::begin(rows), std::end(rows), [&](const Row& candidate) {
    return candidate.op == node.op && candidate.domain == node.domain;
  });
  return row == std::end(rows) ? of_input(graph, node, 0) : row->rule(graph, node, index);
}

void complete_output_types(Graph& graph) {
  const auto is_open = [&](const Port& output) { return graph.value(output.value).dtype == DType::undefined; };
  if (std::none_of(graph.outputs.begin(), graph.outputs.end(), is_open)) return;
  Graph typed = graph;
  infer_shapes(typed);
  for (const Port& output : graph.outputs) graph.value(output.value).dtype = typed.value(output.value).dtype;
}

}  // namespace pare
