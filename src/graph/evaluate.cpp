#include "src/graph/evaluate.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "src/core/error.hpp"
#include "src/graph/axes.hpp"
#include "src/graph/node_inputs.hpp"

namespace pare {
namespace {

KnownValue integers_value(Shape shape, const std::vector<int64_t>& values) {
  KnownValue result{DType::int64, std::move(shape), {}};
  for (const int64_t value : values) result.elements.push_back({value >= 0, value >= 0 ? value : 0, 0});
  return result;
}

Known evaluate_shape(const Evaluation& site) {
  const auto& shape = shape_of(site.graph, site.node, 0);
  if (!shape) return std::nullopt;
  const auto rank = static_cast<int64_t>(shape->size());
  const auto bound = [rank](int64_t position) {
    return std::clamp<int64_t>(position < 0 ? position + rank : position, 0, rank);
  };
  const int64_t first = bound(site.node.integer("start", 0));
  const int64_t last = std::max(first, bound(site.node.integer("end", rank)));
  const std::vector<int64_t> part(shape->begin() + first, shape->begin() + last);
  return {{integers_value({last - first}, part)}};
}

Known evaluate_size(const Evaluation& site) {
  const auto& shape = shape_of(site.graph, site.node, 0);
  if (!shape || std::find(shape->begin(), shape->end(), -1) != shape->end()) return std::nullopt;
  return {{integers_value({}, {element_count(*shape)})}};
}

Known evaluate_constant_of_shape(const Evaluation& site) {
  const auto shape = site.integers(0);
  if (!shape || std::any_of(shape->begin(), shape->end(), [](int64_t size) { return size < 0; })) return std::nullopt;
  if (element_count(*shape) > known_value_limit) return std::nullopt;
  KnownValue result{DType::float32, *shape, {}};
  Element element{true, 0, 0};
  if (const auto found = site.node.attributes.find("value"); found != site.node.attributes.end()) {
    const auto* tensor = std::get_if<Tensor>(&found->second);
    if (tensor == nullptr || tensor->elements() != 1 || !may_be_known(tensor->dtype)) return std::nullopt;
    result.dtype = tensor->dtype;
    if (is_float(tensor->dtype)) element.real = to_double(*tensor).front();
    else element.integer = to_int64(*tensor).front();
  }
  result.elements.assign(static_cast<size_t>(element_count(*shape)), element);
  return {{std::move(result)}};
}

Known evaluate_range(const Evaluation& site) {
  const auto start = site.integers(0), limit = site.integers(1), step = site.integers(2);
  if (!start || !limit || !step || start->size() != 1 || limit->size() != 1 || step->size() != 1) return std::nullopt;
  const double span = static_cast<double>(limit->front()) - static_cast<double>(start->front());
  if (step->front() == 0) fail_input("{}: the step is 0", site.node.label());
  const double count = std::max(0.0, std::ceil(span / static_cast<double>(step->front())));
  if (count > static_cast<double>(known_value_limit)) return std::nullopt;
  KnownValue result{site.input(0)->dtype, {static_cast<int64_t>(count)}, {}};
  for (int64_t i = 0; i < result.shape.front(); ++i)
    result.elements.push_back({true, start->front() + i * step->front(), 0});
  return {{std::move(result)}};
}

// A reduction over `axes`, all of them when the input is left out; `fold` joins two elements.
template <class Fold>
Known reduced(const Evaluation& site, Fold fold) {
  const KnownValue* x = site.input(0);
  if (x == nullptr || is_float(x->dtype) || x->elements.empty()) return std::nullopt;
  const auto axes = site.node.input(1) == no_value ? std::vector<int64_t>{} : site.integers(1);
  if (!axes || (axes->empty() && site.node.integer("noop_with_empty_axes", 0) != 0)) return std::nullopt;
  std::vector<bool> gone(x->shape.size(), axes->empty());
  for (const int64_t axis : *axes) gone[axis_index(site.node, axis, gone.size())] = true;
  Shape kept;   // with 1 for reduced axes
  Shape shape;  // of the output
  for (size_t i = 0; i < gone.size(); ++i) {
    kept.push_back(gone[i] ? 1 : x->shape[i]);
    if (!gone[i] || site.node.integer("keepdims", 1) != 0) shape.push_back(kept.back());
  }
  KnownValue result{x->dtype, std::move(shape), {}, x->from_weights};
  result.elements.resize(static_cast<size_t>(element_count(kept)));
  std::vector<bool> begun(result.elements.size(), false);
  for_each_index(x->shape, [&](size_t i, const Shape& at) {
    const size_t target = broadcast_position(kept, at);
    Element& sum = result.elements[target];
    const Element& next = x->elements[i];
    if (!begun[target]) sum = next;
    else if (sum.known && next.known) sum = *converted({true, fold(sum.integer, next.integer), 0}, x->dtype, x->dtype);
    else sum = {};
    begun[target] = true;
  });
  return {{std::move(result)}};
}

// Wraps around as the machine does.
int64_t plus(int64_t a, int64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b)); }
int64_t times(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

Known evaluate_reduce_sum(const Evaluation& site) { return reduced(site, plus); }
Known evaluate_reduce_prod(const Evaluation& site) { return reduced(site, times); }
Known evaluate_reduce_max(const Evaluation& site) {
  return reduced(site, [](int64_t a, int64_t b) { return std::max(a, b); });
}
Known evaluate_reduce_min(const Evaluation& site) {
  return reduced(site, [](int64_t a, int64_t b) { return std::min(a, b); });
}

// [rank, count]: exporters write arange as NonZero of ones.
Known evaluate_non_zero(const Evaluation& site) {
  const KnownValue* x = site.input(0);
  if (x == nullptr || !x->complete() || x->shape.empty()) return std::nullopt;
  std::vector<Shape> found;
  for_each_index(x->shape, [&](size_t i, const Shape& at) {
    const Element& element = x->elements[i];
    if (is_float(x->dtype) ? element.real != 0 : element.integer != 0) found.push_back(at);
  });
  KnownValue result{DType::int64, {static_cast<int64_t>(x->shape.size()), static_cast<int64_t>(found.size())}, {}};
  for (size_t axis = 0; axis < x->shape.size(); ++axis)
    for (const Shape& at : found) result.elements.push_back({true, at[axis], 0});
  return {{std::move(result)}};
}

struct Row {
  std::string_view op;
  Evaluator evaluate;
};

constexpr Row rows[] = {
    {"ConstantOfShape", evaluate_constant_of_shape},
    {"NonZero", evaluate_non_zero},
    {"Range", evaluate_range},
    {"ReduceMax", evaluate_reduce_max},
    {"ReduceMin", evaluate_reduce_min},
    {"ReduceProd", evaluate_reduce_prod},
    {"ReduceSum", evaluate_reduce_sum},
    {"Shape", evaluate_shape},
    {"Size", evaluate_size},
};

Evaluator find_evaluator(std::string_view op) {
  const auto* found = std::find_if(std::begin(rows), std::end(rows), [&](const Row& row) { return row.op == op; });
  if (found != std::end(rows)) return found->evaluate;
  const Evaluator elementwise = find_elementwise(op);
  return elementwise != nullptr ? elementwise : find_movement(op);
}

}  // namespace

std::optional<std::vector<int64_t>> Evaluation::integers(size_t index) const {
  const KnownValue* value = input(index);
  if (value == nullptr || is_float(value->dtype) || !value->complete()) return std::nullopt;
  std::vector<int64_t> result;
  for (const Element& element : value->elements) result.push_back(element.integer);
  return result;
}

size_t broadcast_position(const Shape& shape, const Shape& at) {
  int64_t position = 0;
  const size_t skipped = at.size() - shape.size();
  for (size_t i = 0; i < shape.size(); ++i) position = position * shape[i] + (shape[i] == 1 ? 0 : at[i + skipped]);
  return static_cast<size_t>(position);
}

Known evaluate(const Graph& graph, const Node& node) {
  if (!node.domain.empty()) return std::nullopt;
  const Evaluator evaluator = find_evaluator(node.op);
  if (evaluator == nullptr) return std::nullopt;
  Evaluation site{graph, node, {}};
  const bool of_shape = node.op == "Shape" || node.op == "Size";
  for (const ValueId input : node.inputs) site.inputs.push_back(of_shape ? std::nullopt : known_value(graph, input));
  Known outputs = evaluator(site);
  if (!outputs) return std::nullopt;
  for (const KnownValue& output : *outputs)
    if (static_cast<int64_t>(output.elements.size()) > known_value_limit) return std::nullopt;
  return outputs;
}

}  // namespace pare
