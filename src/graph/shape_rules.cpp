#include "src/graph/shape_rules.hpp"

#include <algorithm>

#include "src/core/error.hpp"
#include "src/graph/axes.hpp"
#include "src/graph/node_inputs.hpp"
#include "src/graph/windows.hpp"

namespace pare {
namespace {

// Numpy broadcasting of two shapes (ONNX "Broadcasting in ONNX"); unknown against 1 stays unknown.
Shape broadcast(const Node& node, const Shape& a, const Shape& b) {
  Shape result(std::max(a.size(), b.size()), 1);
  for (size_t i = 0; i < result.size(); ++i) {
    const int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t y = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (x >= 0 && y >= 0 && x != y && x != 1 && y != 1)
      fail_input("{}: shapes {} and {} cannot be broadcast", node.label(), shape_text(a), shape_text(b));
    int64_t& size = result[result.size() - 1 - i];
    if (x == 1) size = y;
    else if (y == 1 || x == y || y < 0) size = x;
    else size = y;
  }
  return result;
}

// [N, C, spatial...] -> output sizes of a window over the spatial dimensions.
void append_spatial(const Node& node, const Shape& input, const Shape& kernel, Shape& output) {
  const Windows windows = windows_of(node, kernel);
  for (size_t i = 0; i < kernel.size(); ++i) output.push_back(windows.output_size(i, input[i + 2]));
}

int64_t product(const Shape& shape, size_t first, size_t last) {
  int64_t result = 1;
  for (size_t i = first; i < last; ++i) {
    if (shape[i] < 0) return -1;
    result *= shape[i];
  }
  return result;
}

}  // namespace

namespace shape_rules {

Shapes same_shape(const Graph& graph, const Node& node) { return shape_of(graph, node, 0); }

Shapes broadcast_shape(const Graph& graph, const Node& node) {
  std::optional<Shape> result = shape_of(graph, node, 0);
  for (size_t i = 1; i < node.inputs.size() && result; ++i) {
    const auto& next = shape_of(graph, node, i);
    if (!next) return std::nullopt;
    result = broadcast(node, *result, *next);
  }
  return result;
}

Shapes expand_shape(const Graph& graph, const Node& node) {
  const auto& input = shape_of(graph, node, 0);
  auto target = known_sizes(graph, node, 1);
  if (!input || !target) return std::nullopt;
  for (int64_t& size : *target) size = size < 0 ? -1 : size;
  return broadcast(node, *input, *target);
}

Shapes conv_shape(const Graph& graph, const Node& node) {
  const auto& input = shape_of(graph, node, 0);
  const auto& weight = shape_of(graph, node, 1);
  if (!input || !weight) return std::nullopt;
  if (input->size() != weight->size() || input->size() < 3)
    fail_input("{}: input and weight do not fit (got ranks {} and {})", node.label(), input->size(), weight->size());
  const int64_t group = node.integer("group", 1);
  if ((*input)[1] >= 0 && (*weight)[1] >= 0 && (*input)[1] != (*weight)[1] * group)
    fail_input("{}: input channels do not fit the weight (got {}, expected {})", node.label(), (*input)[1],
               (*weight)[1] * group);
  Shape output{(*input)[0], (*weight)[0]};
  append_spatial(node, *input, Shape(weight->begin() + 2, weight->end()), output);
  return output;
}

Shapes conv_transpose_shape(const Graph& graph, const Node& node) {
  const auto& input = shape_of(graph, node, 0);
  const auto& weight = shape_of(graph, node, 1);
  if (!input || !weight || weight->size() != input->size() || input->size() < 3) return std::nullopt;
  const Shape kernel(weight->begin() + 2, weight->end());
  const Windows windows = windows_of(node, kernel);
  const auto added = node.integers("output_padding", std::vector<int64_t>(kernel.size(), 0));
  const auto wanted = node.integers("output_shape", {});
  Shape output{(*input)[0], (*weight)[1] < 0 ? -1 : (*weight)[1] * node.integer("group", 1)};
  for (size_t i = 0; i < kernel.size(); ++i) {
    const int64_t size = (*input)[i + 2];
    const int64_t reach = windows.dilations[i] * (kernel[i] - 1) + 1;
    const bool same = windows.auto_pad == "SAME_UPPER" || windows.auto_pad == "SAME_LOWER";
    if (!wanted.empty()) output.push_back(wanted[i]);
    // Kernels shorter than the stride do not reach all of stride * size.
    else if (same && size >= 0)
      output.push_back(std::min(size * windows.strides[i], (size - 1) * windows.strides[i] + reach + added[i]));
    else
      output.push_back(size < 0 ? -1
                                : (size - 1) * windows.strides[i] + reach + added[i] - windows.pads_begin[i] -
                                      windows.pads_end[i]);
  }
  return output;
}

Shapes pool_shape(const Graph& graph, const Node& node) {
  const auto& input = shape_of(graph, node, 0);
  if (!input) return std::nullopt;
  const Shape kernel = node.integers("kernel_shape", {});
  if (input->size() != kernel.size() + 2)
    fail_input("{}: kernel_shape does not fit the input (got {} sizes, expected {})", node.label(), kernel.size(),
               input->size() - 2);
  Shape output{(*input)[0], (*input)[1]};
  append_spatial(node, *input, kernel, output);
  return output;
}

Shapes global_pool_shape(const Graph& graph, const Node& node) {
  auto shape = shape_of(graph, node, 0);
  if (shape)
    for (size_t i = 2; i < shape->size(); ++i) (*shape)[i] = 1;
  return shape;
}

Shapes gemm_shape(const Graph& graph, const Node& node) {
  const auto& a = shape_of(graph, node, 0);
  const auto& b = shape_of(graph, node, 1);
  if (!a || !b) return std::nullopt;
  if (a->size() != 2 || b->size() != 2)
    fail_input("{}: inputs must be matrices (got {} and {})", node.label(), shape_text(*a), shape_text(*b));
  const bool trans_a = node.integer("transA", 0) != 0;
  const bool trans_b = node.integer("transB", 0) != 0;
  const int64_t inner_a = (*a)[trans_a ? 0 : 1];
  const int64_t inner_b = (*b)[trans_b ? 1 : 0];
  if (inner_a >= 0 && inner_b >= 0 && inner_a != inner_b)
    fail_input("{}: inner sizes do not fit (got {} and {})", node.label(), inner_a, inner_b);
  return Shape{(*a)[trans_a ? 1 : 0], (*b)[trans_b ? 0 : 1]};
}

Shapes matmul_shape(const Graph& graph, const Node& node) {
  const auto& a = shape_of(graph, node, 0);
  const auto& b = shape_of(graph, node, 1);
  if (!a || !b) return std::nullopt;
  if (a->empty() || b->empty()) fail_input("{}: inputs must not be scalars", node.label());
  // numpy.matmul: a vector gains a dimension for the product and loses it afterwards.
  Shape left = *a;
  Shape right = *b;
  if (a->size() == 1) left.insert(left.begin(), 1);
  if (b->size() == 1) right.push_back(1);
  if (left.back() >= 0 && right[right.size() - 2] >= 0 && left.back() != right[right.size() - 2])
    fail_input("{}: inner sizes do not fit (got {} and {})", node.label(), left.back(), right[right.size() - 2]);
  Shape output = broadcast(node, Shape(left.begin(), left.end() - 2), Shape(right.begin(), right.end() - 2));
  if (a->size() != 1) output.push_back(left[left.size() - 2]);
  if (b->size() != 1) output.push_back(right.back());
  return output;
}

Shapes recurrent_shape(const Graph& graph, const Node& node) {
  const auto& x = shape_of(graph, node, 0);
  const auto& recurrent = shape_of(graph, node, 2);
  if (!x || !recurrent || x->size() != 3 || recurrent->size() != 3) return std::nullopt;
  const int64_t directions = (*recurrent)[0];
  const int64_t hidden = (*recurrent)[2];
  const bool batch_first = node.integer("layout", 0) == 1;
  Shapes shapes(3);
  shapes[0] = batch_first ? Shape{(*x)[0], (*x)[1], directions, hidden} : Shape{(*x)[0], directions, (*x)[1], hidden};
  shapes[1] = batch_first ? Shape{(*x)[0], directions, hidden} : Shape{directions, (*x)[1], hidden};
  shapes[2] = shapes[1];
  return shapes;
}

Shapes concat_shape(const Graph& graph, const Node& node) {
  std::optional<Shape> result = shape_of(graph, node, 0);
  if (!result) return std::nullopt;
  const size_t axis = axis_index(node, node.integer("axis", 0), result->size());
  for (size_t i = 1; i < node.inputs.size(); ++i) {
    const auto& part = shape_of(graph, node, i);
    if (!part) return std::nullopt;
    if (part->size() != result->size())
      fail_input("{}: inputs differ in rank (got {} and {})", node.label(), result->size(), part->size());
    int64_t& total = (*result)[axis];
    total = total < 0 || (*part)[axis] < 0 ? -1 : total + (*part)[axis];
  }
  return result;
}

Shapes flatten_shape(const Graph& graph, const Node& node) {
  const auto& input = shape_of(graph, node, 0);
  if (!input) return std::nullopt;
  int64_t axis = node.integer("axis", 1);
  if (axis < 0) axis += static_cast<int64_t>(input->size());
  if (axis < 0 || axis > static_cast<int64_t>(input->size()))
    fail_input("{}: axis is out of range (got {})", node.label(), axis);
  return Shape{product(*input, 0, static_cast<size_t>(axis)),
               product(*input, static_cast<size_t>(axis), input->size())};
}

Shapes reshape_shape(const Graph& graph, const Node& node) {
  const auto& input = shape_of(graph, node, 0);
  const auto target = known_sizes(graph, node, 1);
  if (!target) return std::nullopt;
  Shape output = *target;
  int64_t known = 1;
  for (size_t i = 0; i < output.size(); ++i) {
    const bool copied = output[i] == 0 && node.integer("allowzero", 0) == 0;
    if (copied) output[i] = input && i < input->size() ? (*input)[i] : -1;
    if (output[i] >= 0) known *= output[i];
    // A size that is not known, or copied from one, leaves no room for an inference.
    else if (copied || output[i] != -1) known = 0, output[i] = -1;
  }
  const auto inferred = std::find(target->begin(), target->end(), -1);
  const int64_t total = input ? product(*input, 0, input->size()) : -1;
  if (inferred != target->end() && total >= 0 && known > 0)
    output[static_cast<size_t>(inferred - target->begin())] = total / known;
  if (total >= 0 && product(output, 0, output.size()) >= 0 && product(output, 0, output.size()) != total)
    fail_input("{}: {} elements do not fit shape {}", node.label(), total, shape_text(*target));
  return output;
}

Shapes transpose_shape(const Graph& graph, const Node& node) {
  const auto& input = shape_of(graph, node, 0);
  if (!input) return std::nullopt;
  Shape output;
  for (const int64_t axis : permutation_of(node, input->size())) output.push_back((*input)[static_cast<size_t>(axis)]);
  return output;
}

Shapes reduce_shape(const Graph& graph, const Node& node) {
  const auto& input = shape_of(graph, node, 0);
  if (!input || (node.input(1) != no_value && !constant_integers(graph, node, 1))) return std::nullopt;
  const std::vector<int64_t> axes = constant_integers(graph, node, 1).value_or(std::vector<int64_t>{});
  if (axes.empty() && node.integer("noop_with_empty_axes", 0) != 0) return input;
  std::vector<bool> reduced(input->size(), axes.empty());
  for (const int64_t axis : axes) reduced[axis_index(node, axis, input->size())] = true;
  Shape output;
  for (size_t i = 0; i < input->size(); ++i) {
    if (!reduced[i]) output.push_back((*input)[i]);
    else if (node.integer("keepdims", 1) != 0) output.push_back(1);
  }
  return output;
}

Shapes squeeze_shape(const Graph& graph, const Node& node) {
  const auto& input = shape_of(graph, node, 0);
  if (!input || (node.input(1) != no_value && !constant_integers(graph, node, 1))) return std::nullopt;
  std::vector<bool> dropped(input->size(), false);
  if (const auto axes = constant_integers(graph, node, 1)) {
    for (const int64_t axis : *axes) dropped[axis_index(node, axis, input->size())] = true;
  } else {
    // A size that is not known may be 1.
    if (std::find(input->begin(), input->end(), -1) != input->end()) return std::nullopt;
    for (size_t i = 0; i < input->size(); ++i) dropped[i] = (*input)[i] == 1;
  }
  Shape output;
  for (size_t i = 0; i < input->size(); ++i)
    if (!dropped[i]) output.push_back((*input)[i]);
  return output;
}

Shapes unsqueeze_shape(const Graph& graph, const Node& node) {
  const auto& input = shape_of(graph, node, 0);
  const auto axes = constant_integers(graph, node, 1);
  if (!input || !axes) return std::nullopt;
  const size_t rank = input->size() + axes->size();
  std::vector<bool> added(rank, false);
  for (const int64_t axis : *axes) added[axis_index(node, axis, rank)] = true;
  Shape output;
  size_t next = 0;
  for (size_t i = 0; i < rank; ++i) output.push_back(added[i] || next == input->size() ? 1 : (*input)[next++]);
  return output;
}

}  // namespace shape_rules

}  // namespace pare
