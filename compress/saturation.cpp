#include "compress/saturation.hpp"

#include <algorithm>

namespace pare {
namespace {

bool is(const Node& node, std::string_view op) { return node.domain.empty() && node.op == op; }

// The number of a constant with one element.
std::optional<float> number(const Graph& graph, ValueId id) {
  if (id == no_value) return std::nullopt;
  const auto& constant = graph.value(id).constant;
  if (!constant || constant->dtype != DType::float32 || constant->elements() != 1) return std::nullopt;
  return constant->as<float>()[0];
}

// A Clip's bounds; nullopt when one is computed.
std::optional<ValueLimits> clip_limits(const Graph& graph, const Node& clip) {
  ValueLimits limits;
  for (const size_t side : {size_t{1}, size_t{2}}) {
    if (clip.input(side) == no_value) continue;
    const auto bound = number(graph, clip.inputs[side]);
    if (!bound) return std::nullopt;
    (side == 1 ? limits.low : limits.high) = *bound;
  }
  return limits;
}

// Where max(0, min(1, alpha x + beta)) is neither 0 nor 1.
std::optional<ValueLimits> hard_sigmoid_limits(const Node& node) {
  const float alpha = node.real("alpha", 0.2f), beta = node.real("beta", 0.5f);
  if (!(alpha > 0)) return std::nullopt;
  return ValueLimits{-beta / alpha, (1 - beta) / alpha};
}

}  // namespace

Saturation::Saturation(const Graph& graph)
    : graph_(graph), consumers_(consumers_of(graph)), producers_(graph.values.size(), nullptr) {
  for (const Node& node : graph.nodes)
    for (const ValueId output : node.outputs)
      if (output != no_value) producers_[static_cast<size_t>(output)] = &node;
  for (const Node& node : graph.nodes) {
    if (!is(node, "Mul") || node.inputs.size() != 2) continue;
    for (const size_t side : {size_t{0}, size_t{1}}) {
      float low = 0;
      const Node* sum = nullptr;
      if (!gate(node.inputs[1 - side], node.inputs[side], low, &sum)) continue;
      inside_.insert(&node);
      if (sum != nullptr) inside_.insert(sum);
    }
  }
  // Alone, as a HardSigmoid: between a Clip that is divided, or multiplied by a constant.
  for (const Node& node : graph.nodes) {
    ValueLimits limits;
    if (!is(node, "Add") || node.inputs.size() != 2) continue;
    const size_t side = number(graph, node.inputs[0]) ? 1 : 0;
    if (!shifted_clip(node, node.inputs[side], limits)) continue;
    const Node* scaled = only_reader(only_reader(node.outputs[0])->outputs[0]);
    if (scaled != nullptr && is(*scaled, "Div") && number(graph, scaled->inputs[1])) inside_.insert(&node);
  }
}

const Node* Saturation::only_reader(ValueId id) const {
  const bool output =
      std::any_of(graph_.outputs.begin(), graph_.outputs.end(), [&](const Port& port) { return port.value == id; });
  const auto& readers = consumers_[static_cast<size_t>(id)];
  return readers.size() == 1 && !output ? readers.front() : nullptr;
}

bool Saturation::shifted_clip(const Node& sum, ValueId x, ValueLimits& limits) const {
  if (!is(sum, "Add") || sum.inputs.size() != 2) return false;
  const auto shift = number(graph_, sum.inputs[sum.inputs[0] == x ? 1 : 0]);
  const Node* clip = only_reader(sum.outputs[0]);
  if (!shift || clip == nullptr || !is(*clip, "Clip") || clip->inputs[0] != sum.outputs[0]) return false;
  const auto bounds = clip_limits(graph_, *clip);
  if (!bounds) return false;
  limits = {bounds->low - *shift, bounds->high - *shift};
  return true;
}

bool Saturation::gate(ValueId gate, ValueId x, float& low, const Node** sum) const {
  const Node* node = producer(gate);
  if (node != nullptr && is(*node, "HardSigmoid") && node->inputs[0] == x) {
    const auto bounds = hard_sigmoid_limits(*node);
    if (bounds) low = bounds->low;
    return bounds.has_value();
  }
  // A factor behind the Clip.
  if (node != nullptr && is(*node, "Div") && number(graph_, node->inputs[1])) node = producer(node->inputs[0]);
  else if (node != nullptr && is(*node, "Mul"))
    for (const size_t side : {size_t{0}, size_t{1}})
      if (number(graph_, node->inputs[1 - side])) {
        node = producer(node->inputs[side]);
        break;
      }
  if (node == nullptr || !is(*node, "Clip")) return false;
  const auto bounds = clip_limits(graph_, *node);
  const Node* shifted = producer(node->inputs[0]);
  ValueLimits limits;
  if (!bounds || bounds->low != 0 || shifted == nullptr ||
      std::find(shifted->inputs.begin(), shifted->inputs.end(), x) == shifted->inputs.end() ||
      !shifted_clip(*shifted, x, limits))
    return false;
  low = limits.low;
  *sum = shifted;
  return true;
}

ValueLimits Saturation::of_reader(const Node& reader, ValueId x) const {
  ValueLimits limits;
  if (is(reader, "HardSwish")) limits.low = -3;
  if (is(reader, "Relu")) limits.low = 0;
  if (is(reader, "HardSigmoid")) limits = hard_sigmoid_limits(reader).value_or(limits);
  if (is(reader, "Clip") && reader.inputs[0] == x) limits = clip_limits(graph_, reader).value_or(limits);
  if (is(reader, "Add") && !shifted_clip(reader, x, limits)) limits = {};
  const Node* sum = nullptr;
  if (is(reader, "Mul") && reader.inputs.size() == 2)
    gate(reader.inputs[reader.inputs[0] == x ? 1 : 0], x, limits.low, &sum);
  return limits;
}

ValueLimits Saturation::limits(ValueId value) const {
  const auto& readers = consumers_[static_cast<size_t>(value)];
  const bool output =
      std::any_of(graph_.outputs.begin(), graph_.outputs.end(), [&](const Port& port) { return port.value == value; });
  if (output || readers.empty()) return {};
  ValueLimits hull = of_reader(*readers.front(), value);
  for (const Node* reader : readers) {
    const ValueLimits own = of_reader(*reader, value);
    hull = {std::min(hull.low, own.low), std::max(hull.high, own.high)};
  }
  return hull;
}

}  // namespace pare
