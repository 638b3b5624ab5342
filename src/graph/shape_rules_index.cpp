// Shape rules of operators that pick, repeat, pad or count elements.
#include <algorithm>

#include "src/core/error.hpp"
#include "src/graph/axes.hpp"
#include "src/graph/node_inputs.hpp"
#include "src/graph/resize.hpp"
#include "src/graph/shape_rules.hpp"

namespace pare::shape_rules {
namespace {

using Integers = std::vector<int64_t>;

// How many elements a slice of an axis of `size` takes. Backwards, it begins at an element of the axis (not in front of
// the first one, as NumPy would) and may end in front of the first.
int64_t slice_size(int64_t size, int64_t start, int64_t end, int64_t step) {
  if (size < 1) return size;
  const int64_t high = step > 0 ? size : size - 1;
  const auto position = [&](int64_t bound, int64_t low) {
    return std::clamp(bound < 0 ? std::max(bound, -size - 1) + size : bound, low, high);
  };
  const int64_t distance = step > 0 ? position(end, 0) - position(start, 0) : position(start, 0) - position(end, -1);
  const int64_t stride = step > 0 ? step : -step;
  return std::max<int64_t>(0, (distance + stride - 1) / stride);
}

// A constant list of axes, or 0, 1, 2...; no value when it is computed.
std::optional<Integers> axes_or_all(const Graph& graph, const Node& node, size_t input, size_t count) {
  if (node.input(input) != no_value) return constant_integers(graph, node, input);
  Integers axes(count);
  for (size_t i = 0; i < count; ++i) axes[i] = static_cast<int64_t>(i);
  return axes;
}

}  // namespace

Shapes second_shape(const Graph& graph, const Node& node) { return shape_of(graph, node, 1); }

Shapes scalar_shape(const Graph&, const Node&) { return Shape{}; }

Shapes shape_shape(const Graph& graph, const Node& node) {
  const auto& input = shape_of(graph, node, 0);
  if (!input) return std::nullopt;
  const auto rank = static_cast<int64_t>(input->size());
  return Shape{slice_size(rank, node.integer("start", 0), node.integer("end", rank), 1)};
}

Shapes arg_shape(const Graph& graph, const Node& node) {
  std::optional<Shape> shape = shape_of(graph, node, 0);
  if (!shape) return std::nullopt;
  const size_t axis = axis_index(node, node.integer("axis", 0), shape->size());
  if (node.integer("keepdims", 1) != 0) (*shape)[axis] = 1;
  else shape->erase(shape->begin() + static_cast<std::ptrdiff_t>(axis));
  return shape;
}

Shapes slice_shape(const Graph& graph, const Node& node) {
  std::optional<Shape> shape = shape_of(graph, node, 0);
  const auto starts = constant_integers(graph, node, 1);
  const auto ends = constant_integers(graph, node, 2);
  if (!shape || !starts || !ends) return std::nullopt;
  const auto axes = axes_or_all(graph, node, 3, starts->size());
  const auto steps = node.input(4) != no_value ? constant_integers(graph, node, 4) : Integers(starts->size(), 1);
  if (!axes || !steps) return std::nullopt;
  if (ends->size() != starts->size() || axes->size() != starts->size() || steps->size() != starts->size())
    fail_input("{}: starts, ends, axes and steps differ in length", node.label());
  for (size_t i = 0; i < axes->size(); ++i) {
    if ((*steps)[i] == 0) fail_input("{}: a step is 0", node.label());
    int64_t& size = (*shape)[axis_index(node, (*axes)[i], shape->size())];
    size = slice_size(size, (*starts)[i], (*ends)[i], (*steps)[i]);
  }
  return shape;
}

Shapes gather_shape(const Graph& graph, const Node& node) {
  const auto& input = shape_of(graph, node, 0);
  const auto& indices = shape_of(graph, node, 1);
  if (!input || !indices) return std::nullopt;
  const size_t axis = axis_index(node, node.integer("axis", 0), input->size());
  Shape shape(input->begin(), input->begin() + static_cast<std::ptrdiff_t>(axis));
  shape.insert(shape.end(), indices->begin(), indices->end());
  shape.insert(shape.end(), input->begin() + static_cast<std::ptrdiff_t>(axis) + 1, input->end());
  return shape;
}

Shapes tile_shape(const Graph& graph, const Node& node) {
  std::optional<Shape> shape = shape_of(graph, node, 0);
  const auto repeats = known_sizes(graph, node, 1);
  if (!shape || !repeats) return std::nullopt;
  if (repeats->size() != shape->size())
    fail_input("{}: repeats do not fit the input (got {}, expected {})", node.label(), repeats->size(), shape->size());
  for (size_t i = 0; i < shape->size(); ++i)
    (*shape)[i] = (*shape)[i] < 0 || (*repeats)[i] < 0 ? -1 : (*shape)[i] * (*repeats)[i];
  return shape;
}

Shapes pad_shape(const Graph& graph, const Node& node) {
  std::optional<Shape> shape = shape_of(graph, node, 0);
  const auto pads = constant_integers(graph, node, 1);
  if (!shape || !pads) return std::nullopt;
  const auto axes = axes_or_all(graph, node, 3, shape->size());
  if (!axes) return std::nullopt;
  if (pads->size() != 2 * axes->size())
    fail_input("{}: pads do not fit the axes (got {}, expected {})", node.label(), pads->size(), 2 * axes->size());
  for (size_t i = 0; i < axes->size(); ++i) {
    int64_t& size = (*shape)[axis_index(node, (*axes)[i], shape->size())];
    if (size >= 0) size += (*pads)[i] + (*pads)[i + axes->size()];
  }
  return shape;
}

Shapes depth_to_space_shape(const Graph& graph, const Node& node) {
  const auto& x = shape_of(graph, node, 0);
  const int64_t block = node.integer("blocksize", 1);
  if (!x || x->size() != 4 || block < 1) return std::nullopt;
  const auto times = [block](int64_t size) { return size < 0 ? -1 : size * block; };
  return Shape{(*x)[0], (*x)[1] < 0 ? -1 : (*x)[1] / (block * block), times((*x)[2]), times((*x)[3])};
}

Shapes space_to_depth_shape(const Graph& graph, const Node& node) {
  const auto& x = shape_of(graph, node, 0);
  const int64_t block = node.integer("blocksize", 1);
  if (!x || x->size() != 4 || block < 1) return std::nullopt;
  const auto part = [block](int64_t size) { return size < 0 ? -1 : size / block; };
  return Shape{(*x)[0], (*x)[1] < 0 ? -1 : (*x)[1] * block * block, part((*x)[2]), part((*x)[3])};
}

Shapes unknown_shape(const Graph&, const Node&) { return std::nullopt; }

Shapes constant_of_shape_shape(const Graph& graph, const Node& node) {
  auto shape = known_sizes(graph, node, 0);
  if (shape)
    for (int64_t& size : *shape) size = size < 0 ? -1 : size;
  return shape;
}

Shapes split_shape(const Graph& graph, const Node& node) {
  const auto& input = shape_of(graph, node, 0);
  if (!input || (node.input(1) != no_value && !constant_integers(graph, node, 1))) return std::nullopt;
  const size_t axis = axis_index(node, node.integer("axis", 0), input->size());
  const auto sizes = node.input(1) != no_value ? *constant_integers(graph, node, 1)
                                               : even_parts((*input)[axis], static_cast<int64_t>(node.outputs.size()));
  Shapes shapes(node.outputs.size());
  for (size_t i = 0; i < shapes.size() && i < sizes.size(); ++i) {
    shapes[i] = *input;
    (*shapes[i])[axis] = sizes[i];
  }
  return shapes;
}

Shapes top_k_shape(const Graph& graph, const Node& node) {
  std::optional<Shape> shape = shape_of(graph, node, 0);
  if (!shape) return std::nullopt;
  const auto k = constant_integers(graph, node, 1);
  (*shape)[axis_index(node, node.integer("axis", -1), shape->size())] = k && !k->empty() ? k->front() : -1;
  Shapes shapes(2);
  shapes[0] = shape;
  shapes[1] = shape;
  return shapes;
}

Shapes gather_nd_shape(const Graph& graph, const Node& node) {
  const auto& input = shape_of(graph, node, 0);
  const auto& indices = shape_of(graph, node, 1);
  if (!input || !indices || indices->empty() || indices->back() < 0) return std::nullopt;
  const auto taken = static_cast<size_t>(node.integer("batch_dims", 0) + indices->back());
  if (taken > input->size()) fail_input("{}: indices are longer than the input's rank", node.label());
  Shape shape(indices->begin(), indices->end() - 1);
  shape.insert(shape.end(), input->begin() + static_cast<std::ptrdiff_t>(taken), input->end());
  return shape;
}

Shapes resize_shape(const Graph& graph, const Node& node) {
  std::optional<Shape> shape = shape_of(graph, node, 0);
  const ValueId scales = node.input(2);
  const auto sizes = constant_integers(graph, node, 3);
  const bool scaled =
      scales != no_value && graph.value(scales).constant && graph.value(scales).constant->elements() > 0;
  if (!shape || (!scaled && !sizes)) return std::nullopt;
  const auto factors = scaled && !sizes ? to_double(*graph.value(scales).constant) : std::vector<double>{};
  for (const ResizedAxis& axis : resized_axes(node, *shape, factors, sizes.value_or(std::vector<int64_t>{})))
    (*shape)[axis.axis] = axis.size;
  return shape;
}

}  // namespace pare::shape_rules
