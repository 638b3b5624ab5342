// Shapes, element types and known elements along the graph, a node at a time in order.
#include <algorithm>

#include "src/core/error.hpp"
#include "src/graph/evaluate.hpp"
#include "src/graph/op_table.hpp"

namespace pare {
namespace {

// Elements of known values that one graph may have: the memory they take stays small whatever the file says.
constexpr size_t known_elements_limit = size_t{1} << 18;

// The element type that an operator gives its output; the first input's for most.
DType output_dtype(const Graph& graph, const Node& node, size_t index) {
  static constexpr std::string_view comparisons[] = {
      "And", "Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual", "Not", "Or", "Xor"};
  static constexpr std::string_view counts[] = {"ArgMax", "ArgMin", "NonMaxSuppression", "NonZero", "Shape", "Size"};
  const auto of_input = [&](size_t input) {
    const ValueId id = node.input(input);
    return id == no_value ? DType::undefined : graph.value(id).dtype;
  };
  const auto is_one_of = [&](auto& ops) { return std::find(std::begin(ops), std::end(ops), node.op) != std::end(ops); };
  if (!node.domain.empty()) return of_input(0);
  if (is_one_of(comparisons)) return DType::boolean;
  if (is_one_of(counts) || ((node.op == "TopK" || node.op == "MaxPool") && index == 1)) return DType::int64;
  if (node.op == "Cast") return static_cast<DType>(node.integer("to", 0));
  if (node.op == "CastLike" || node.op == "Where" || node.op == "DequantizeLinear") return of_input(1);
  if (node.op == "ConstantOfShape") {
    const auto value = node.attributes.find("value");
    if (value == node.attributes.end()) return DType::float32;
    const auto* tensor = std::get_if<Tensor>(&value->second);
    return tensor != nullptr ? tensor->dtype : DType::undefined;
  }
  if (node.op == "QuantizeLinear") return node.input(2) != no_value ? of_input(2) : DType::undefined;
  if (node.op == "If") {
    const Graph& body = *node.subgraph("then_branch");
    return index < body.outputs.size() ? body.value(body.outputs[index].value).dtype : DType::undefined;
  }
  if (node.op == "Loop" || node.op == "Scan") return DType::undefined;
  return of_input(0);
}

void set_known(Graph& graph, const Node& node, size_t& budget) {
  Known outputs = evaluate(graph, node);
  if (!outputs) return;
  for (size_t i = 0; i < outputs->size() && i < node.outputs.size(); ++i) {
    KnownValue& known = (*outputs)[i];
    const bool any = known.elements.empty() || std::any_of(known.elements.begin(), known.elements.end(),
                                                           [](const Element& element) { return element.known; });
    if (node.outputs[i] == no_value || !any || known.elements.size() > budget) continue;
    budget -= known.elements.size();
    Value& value = graph.value(node.outputs[i]);
    value.dtype = known.dtype;
    value.shape = known.shape;
    value.known = std::make_shared<const KnownValue>(std::move(known));
  }
}

}  // namespace

void infer_shapes(Graph& graph) {
  size_t budget = known_elements_limit;
  for (const Node& node : graph.nodes) {
    for (const ValueId output : node.outputs)
      if (output != no_value) graph.value(output).known.reset();
    const OpInfo* info = find_op(node.domain, node.op);
    if (info == nullptr) continue;
    Shapes shapes = info->shape_rule(graph, node);
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] == no_value) continue;
      Value& output = graph.value(node.outputs[i]);
      if (i < shapes.size() && shapes[i]) output.shape = std::move(shapes[i]);
      if (output.dtype == DType::undefined) output.dtype = output_dtype(graph, node, i);
    }
    set_known(graph, node, budget);
  }
}

}  // namespace pare
