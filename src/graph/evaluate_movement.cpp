// Operators that pick, join, repeat or rename elements of known values.
#include <algorithm>
#include <iterator>

#include "src/core/error.hpp"
#include "src/graph/axes.hpp"
#include "src/graph/evaluate.hpp"
#include "src/graph/node_inputs.hpp"

namespace pare {
namespace {

// The shape that inference found for output `index`, when all of it is known and it is small.
std::optional<Shape> inferred_shape(const Evaluation& site, size_t index) {
  if (index >= site.node.outputs.size() || site.node.outputs[index] == no_value) return std::nullopt;
  const auto& shape = site.graph.value(site.node.outputs[index]).shape;
  if (!shape || std::find(shape->begin(), shape->end(), -1) != shape->end()) return std::nullopt;
  if (element_count(*shape) > known_value_limit) return std::nullopt;
  return shape;
}

// A value of the inferred shape whose element at each index is that of `x` at `position(index)`.
template <class Position>
Known picked(const Evaluation& site, const KnownValue& x, Position position) {
  const auto shape = inferred_shape(site, 0);
  if (!shape) return std::nullopt;
  KnownValue result{x.dtype, *shape, {}, x.from_weights};
  for_each_index(*shape, [&](size_t, const Shape& at) {
    const size_t source = position(at);
    if (source >= x.elements.size()) fail_input("{}: an index is out of range", site.node.label());
    result.elements.push_back(x.elements[source]);
  });
  return {{std::move(result)}};
}

size_t position_of(const Shape& shape, const Shape& at) {
  int64_t position = 0;
  for (size_t i = 0; i < shape.size(); ++i) position = position * shape[i] + at[i];
  return static_cast<size_t>(position);
}

// Reshape, Squeeze, Unsqueeze, Flatten: the same elements in another shape.
Known evaluate_renamed(const Evaluation& site) {
  const KnownValue* x = site.input(0);
  const auto shape = inferred_shape(site, 0);
  if (x == nullptr || !shape || element_count(*shape) != static_cast<int64_t>(x->elements.size())) return std::nullopt;
  KnownValue result = *x;
  result.shape = *shape;
  return {{std::move(result)}};
}

Known evaluate_concat(const Evaluation& site) {
  const auto shape = inferred_shape(site, 0);
  if (!shape || shape->empty()) return std::nullopt;
  const size_t axis = axis_index(site.node, site.node.integer("axis", 0), shape->size());
  std::vector<std::pair<const KnownValue*, int64_t>> owners;  // for each position on the axis: whose, and where in it
  KnownValue result{DType::undefined, *shape, {}};
  for (size_t i = 0; i < site.inputs.size(); ++i) {
    const KnownValue* part = site.input(i);
    if (part == nullptr || part->shape.size() != shape->size()) return std::nullopt;
    for (size_t other = 0; other < shape->size(); ++other)
      if (other != axis && part->shape[other] != (*shape)[other]) return std::nullopt;
    for (int64_t p = 0; p < part->shape[axis]; ++p) owners.emplace_back(part, p);
    result.dtype = part->dtype;
    result.from_weights |= part->from_weights;
  }
  for_each_index(*shape, [&](size_t, const Shape& at) {
    const auto& [part, p] = owners[static_cast<size_t>(at[axis])];
    Shape inside = at;
    inside[axis] = p;
    result.elements.push_back(part->elements[position_of(part->shape, inside)]);
  });
  return {{std::move(result)}};
}

Known evaluate_gather(const Evaluation& site) {
  const KnownValue* x = site.input(0);
  const auto indices = site.integers(1);
  if (x == nullptr || !indices || x->shape.empty()) return std::nullopt;
  const size_t axis = axis_index(site.node, site.node.integer("axis", 0), x->shape.size());
  const Shape& taken = site.input(1)->shape;
  return picked(site, *x, [&](const Shape& at) {
    Shape source(at.begin(), at.begin() + static_cast<std::ptrdiff_t>(axis));
    const auto first = at.begin() + static_cast<std::ptrdiff_t>(axis);
    const auto last = first + static_cast<std::ptrdiff_t>(taken.size());
    const int64_t index = (*indices)[position_of(taken, Shape(first, last))];
    const int64_t size = x->shape[axis];
    if (index < -size || index >= size)
      fail_input("{}: an index is out of range (got {}, size {})", site.node.label(), index, size);
    source.push_back(index < 0 ? index + size : index);
    source.insert(source.end(), last, at.end());
    return position_of(x->shape, source);
  });
}

Known evaluate_slice(const Evaluation& site) {
  const KnownValue* x = site.input(0);
  const auto starts = site.integers(1);
  if (x == nullptr || !starts || !inferred_shape(site, 0)) return std::nullopt;
  const size_t rank = x->shape.size();
  Shape first(rank, 0);
  Shape step(rank, 1);
  for (size_t i = 0; i < starts->size(); ++i) {
    // The lengths of the lists were compared by the shape rule, which knows them all where the shape is known.
    const auto axes = site.integers(3);
    const auto steps = site.integers(4);
    const size_t axis = axis_index(site.node, axes ? (*axes)[i] : static_cast<int64_t>(i), rank);
    const int64_t size = x->shape[axis];
    step[axis] = steps ? (*steps)[i] : 1;
    const int64_t start = (*starts)[i] < 0 ? std::max((*starts)[i], -size - 1) + size : (*starts)[i];
    first[axis] = std::clamp<int64_t>(start, 0, step[axis] > 0 ? size : std::max<int64_t>(0, size - 1));
  }
  return picked(site, *x, [&](const Shape& at) {
    Shape source(rank);
    for (size_t i = 0; i < rank; ++i) source[i] = first[i] + at[i] * step[i];
    return position_of(x->shape, source);
  });
}

Known evaluate_transpose(const Evaluation& site) {
  const KnownValue* x = site.input(0);
  if (x == nullptr) return std::nullopt;
  const auto permutation = permutation_of(site.node, x->shape.size());
  return picked(site, *x, [&](const Shape& at) {
    Shape source(at.size());
    for (size_t i = 0; i < at.size(); ++i) source[static_cast<size_t>(permutation[i])] = at[i];
    return position_of(x->shape, source);
  });
}

Known evaluate_expand(const Evaluation& site) {
  const KnownValue* x = site.input(0);
  if (x == nullptr) return std::nullopt;
  return picked(site, *x, [&](const Shape& at) { return broadcast_position(x->shape, at); });
}

Known evaluate_tile(const Evaluation& site) {
  const KnownValue* x = site.input(0);
  if (x == nullptr || std::find(x->shape.begin(), x->shape.end(), 0) != x->shape.end()) return std::nullopt;
  return picked(site, *x, [&](const Shape& at) {
    Shape source = at;
    for (size_t i = 0; i < at.size(); ++i) source[i] %= x->shape[i];
    return position_of(x->shape, source);
  });
}

Known evaluate_split(const Evaluation& site) {
  const KnownValue* x = site.input(0);
  if (x == nullptr) return std::nullopt;
  const size_t axis = axis_index(site.node, site.node.integer("axis", 0), x->shape.size());
  std::vector<KnownValue> parts;
  int64_t offset = 0;
  for (size_t i = 0; i < site.node.outputs.size(); ++i) {
    const auto shape = inferred_shape(site, i);
    if (!shape) return std::nullopt;
    KnownValue part{x->dtype, *shape, {}, x->from_weights};
    for_each_index(*shape, [&](size_t, const Shape& at) {
      Shape source = at;
      source[axis] += offset;
      if (source[axis] >= x->shape[axis]) fail_input("{}: the parts are larger than the input", site.node.label());
      part.elements.push_back(x->elements[position_of(x->shape, source)]);
    });
    offset += (*shape)[axis];
    parts.push_back(std::move(part));
  }
  return parts;
}

struct Row {
  std::string_view op;
  Evaluator evaluate;
};

constexpr Row rows[] = {
    {"Concat", evaluate_concat},       {"Expand", evaluate_expand},     {"Flatten", evaluate_renamed},
    {"Gather", evaluate_gather},       {"Reshape", evaluate_renamed},   {"Slice", evaluate_slice},
    {"Split", evaluate_split},         {"Squeeze", evaluate_renamed},   {"Tile", evaluate_tile},
    {"Transpose", evaluate_transpose}, {"Unsqueeze", evaluate_renamed},
};

}  // namespace

Evaluator find_movement(std::string_view op) {
  const auto* found = std::find_if(std::begin(rows), std::end(rows), [&](const Row& row) { return row.op == op; });
  return found == std::end(rows) ? nullptr : found->evaluate;
}

}  // namespace pare
