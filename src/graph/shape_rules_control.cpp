// Shapes of what subgraphs give.
#include "src/graph/node_inputs.hpp"
#include "src/graph/shape_rules.hpp"
#include "src/graph/subgraph.hpp"

namespace pare::shape_rules {
namespace {

// Where both are known and equal; -1 for a dimension that differs.
std::optional<Shape> common(const std::optional<Shape>& a, const std::optional<Shape>& b) {
  if (!a || !b || a->size() != b->size()) return std::nullopt;
  Shape result = *a;
  for (size_t i = 0; i < result.size(); ++i)
    if ((*a)[i] != (*b)[i]) result[i] = -1;
  return result;
}

Shapes body_shapes(const Graph& graph, const Node& node, const char* attribute) {
  Graph body = seen_from(graph, node, *node.subgraph(attribute));
  infer_shapes(body);
  Shapes shapes(body.outputs.size());
  for (size_t i = 0; i < shapes.size(); ++i) shapes[i] = body.value(body.outputs[i].value).shape;
  return shapes;
}

}  // namespace

Shapes if_shape(const Graph& graph, const Node& node) {
  if (const auto condition = constant_integers(graph, node, 0); condition && condition->size() == 1)
    return body_shapes(graph, node, condition->front() != 0 ? "then_branch" : "else_branch");
  const Shapes yes = body_shapes(graph, node, "then_branch");
  const Shapes no = body_shapes(graph, node, "else_branch");
  Shapes shapes(node.outputs.size());
  for (size_t i = 0; i < shapes.size() && i < yes.size() && i < no.size(); ++i) shapes[i] = common(yes[i], no[i]);
  return shapes;
}

}  // namespace pare::shape_rules
