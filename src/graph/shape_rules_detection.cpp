// Shape rules of detectors' operators and attention.
#include "src/core/error.hpp"
#include "src/graph/axes.hpp"
#include "src/graph/node_inputs.hpp"
#include "src/graph/shape_rules.hpp"

namespace pare::shape_rules {

Shapes one_hot_shape(const Graph& graph, const Node& node) {
  std::optional<Shape> shape = shape_of(graph, node, 0);
  if (!shape) return std::nullopt;
  const ValueId depth = node.input(1);
  const bool known = depth != no_value && graph.value(depth).constant && graph.value(depth).constant->elements() == 1;
  const int64_t size = known ? static_cast<int64_t>(to_double(*graph.value(depth).constant)[0]) : -1;
  const size_t axis = axis_index(node, node.integer("axis", -1), shape->size() + 1);
  shape->insert(shape->begin() + static_cast<std::ptrdiff_t>(axis), size);
  return shape;
}

// [N, C, spatial...] at positions [N, spatial..., dimensions].
Shapes grid_sample_shape(const Graph& graph, const Node& node) {
  const auto& x = shape_of(graph, node, 0);
  const auto& grid = shape_of(graph, node, 1);
  if (!x || !grid || x->size() < 3 || grid->size() != x->size()) return std::nullopt;
  Shape shape{(*x)[0], (*x)[1]};
  shape.insert(shape.end(), grid->begin() + 1, grid->end() - 1);
  return shape;
}

Shapes roi_align_shape(const Graph& graph, const Node& node) {
  const auto& x = shape_of(graph, node, 0);
  const auto& regions = shape_of(graph, node, 1);
  return Shape{regions && !regions->empty() ? regions->front() : -1, x && x->size() == 4 ? (*x)[1] : -1,
               node.integer("output_height", 1), node.integer("output_width", 1)};
}

// Triples of batch, class and box.
Shapes boxes_shape(const Graph&, const Node&) { return Shape{-1, 3}; }

// As the queries, but for the size of a value's head.
Shapes attention_shape(const Graph& graph, const Node& node) {
  std::optional<Shape> shape = shape_of(graph, node, 0);
  const auto& v = shape_of(graph, node, 2);
  if (!shape || !v || v->size() != shape->size() || shape->size() < 3) return std::nullopt;
  int64_t size = v->back();
  if (shape->size() == 3 && size >= 0) {
    const int64_t heads = node.integer("kv_num_heads", 1);
    if (heads < 1) fail_input("{}: kv_num_heads must be positive (got {})", node.label(), heads);
    size = size / heads * node.integer("q_num_heads", heads);
  }
  shape->back() = size;
  return shape;
}

}  // namespace pare::shape_rules
