// Shapes, element types and known elements along the graph, a node at a time in order.
#include <algorithm>

#include "src/graph/element_types.hpp"
#include "src/graph/evaluate.hpp"
#include "src/graph/op_table.hpp"

namespace pare {
namespace {

// Elements of known values that one graph may have: the memory they take stays small whatever the file says.
constexpr size_t known_elements_limit = size_t{1} << 18;

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
      if (const DType dtype = element_type(graph, node, i); dtype != DType::undefined) output.dtype = dtype;
    }
    set_known(graph, node, budget);
  }
}

}  // namespace pare
