#include "compress/affine_channels.hpp"

#include <algorithm>

#include "src/graph/edit.hpp"

namespace pare {
namespace {

bool is(const Node& node, std::string_view op) { return node.domain.empty() && node.op == op; }

class Finder {
 public:
  Finder(const Graph& graph, const std::vector<std::vector<const Node*>>& consumers,
         const std::vector<const Node*>& producers, size_t rank, int64_t axis, int64_t channels)
      : graph_(graph), consumers_(consumers), producers_(producers), rank_(rank), axis_(axis), channels_(channels) {}

  std::vector<AffinePart> computing(ValueId value) const {
    const Node* node = producers_[static_cast<size_t>(value)];
    if (node == nullptr) return {};
    if (is(*node, "LayerNormalization")) return normalization(*node);
    if (const auto product = product_part(*node)) return {*product};
    if (!is(*node, "Add") || node->inputs.size() != 2) return {};
    const auto side = constant_side(*node);
    if (!side) return {};
    const ValueId other = node->inputs[1 - *side];
    const Node* inner = producers_[static_cast<size_t>(other)];
    const auto product = inner == nullptr ? std::nullopt : product_part(*inner);
    if (!product || consumers_[static_cast<size_t>(other)].size() != 1) return {};
    return {*product, {index_of(*node), {*side}, false}};
  }

 private:
  size_t index_of(const Node& node) const { return static_cast<size_t>(&node - graph_.nodes.data()); }

  std::vector<AffinePart> normalization(const Node& node) const {
    const bool others =
        std::any_of(node.outputs.begin() + 1, node.outputs.end(), [](ValueId output) { return output != no_value; });
    AffinePart part{index_of(node), {1}, false};
    if (node.input(2) != no_value) part.constants.push_back(2);
    for (const size_t input : part.constants) {
      const auto& constant = graph_.value(node.inputs[input]).constant;
      if (axis_ != -1 || others || !constant || constant->dtype != DType::float32 ||
          constant->shape != Shape{channels_})
        return {};
    }
    return {part};
  }

  std::optional<AffinePart> product_part(const Node& node) const {
    if (!(is(node, "Mul") || is(node, "Div")) || node.inputs.size() != 2) return std::nullopt;
    const auto side = constant_side(node);
    if (!side || (node.op == "Div" && *side == 0)) return std::nullopt;
    const Node* inner = producers_[static_cast<size_t>(node.inputs[1 - *side])];
    if (inner != nullptr && is(*inner, "Clip")) return std::nullopt;
    return AffinePart{index_of(node), {*side}, node.op == "Div"};
  }

  // One element, or one a channel along the axis.
  bool fits(ValueId id) const {
    if (id == no_value || !graph_.value(id).constant) return false;
    const Tensor& tensor = *graph_.value(id).constant;
    if (tensor.dtype != DType::float32 || tensor.shape.size() > std::max<size_t>(rank_, 1)) return false;
    if (tensor.elements() == 1) return true;
    const size_t place = axis_ < 0 ? 1 : rank_ - 1;  // from the end
    return tensor.elements() == channels_ && tensor.shape.size() >= place &&
           tensor.shape[tensor.shape.size() - place] == channels_;
  }
  std::optional<size_t> constant_side(const Node& node) const {
    for (const size_t side : {size_t{0}, size_t{1}})
      if (fits(node.inputs[side]) && !graph_.value(node.inputs[1 - side]).constant) return side;
    return std::nullopt;
  }

  const Graph& graph_;
  const std::vector<std::vector<const Node*>>& consumers_;
  const std::vector<const Node*>& producers_;
  const size_t rank_;
  const int64_t axis_, channels_;
};

}  // namespace

std::vector<AffinePart> affine_parts(const Graph& graph, const std::vector<std::vector<const Node*>>& consumers,
                                     const std::vector<const Node*>& producers, ValueId value, int64_t axis,
                                     int64_t channels) {
  const auto& shape = graph.value(value).shape;
  if (axis > 0 && (!shape || static_cast<int64_t>(shape->size()) <= axis)) return {};
  // A constant along the last axis fits a value of any rank.
  const size_t rank = shape ? shape->size() : 1;
  return Finder(graph, consumers, producers, rank, axis, channels).computing(value);
}

ValueId divided_constant(Graph& graph, const AffinePart& part, size_t input, const std::vector<double>& factors,
                         int64_t axis, size_t rank) {
  const ValueId id = graph.nodes[part.node].inputs[input];
  const std::vector<float> given = graph.value(id).constant->as<float>();
  std::vector<float> values;
  for (size_t c = 0; c < factors.size(); ++c) {
    const double value = given[given.size() == 1 ? 0 : c];
    values.push_back(static_cast<float>(part.divides ? value * factors[c] : value / factors[c]));
  }
  Shape shape{static_cast<int64_t>(factors.size())};
  if (axis > 0) shape.resize(rank - static_cast<size_t>(axis), 1);
  const std::string name = graph.value(id).name;
  return add_constant_value(graph, (name.empty() ? graph.nodes[part.node].name : name) + "_scaled",
                            Tensor::of(DType::float32, shape, values));
}

std::vector<const Node*> producers_of(const Graph& graph) {
  std::vector<const Node*> producers(graph.values.size(), nullptr);
  for (const Node& node : graph.nodes)
    for (const ValueId output : node.outputs)
      if (output != no_value) producers[static_cast<size_t>(output)] = &node;
  return producers;
}

}  // namespace pare
