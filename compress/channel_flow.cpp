#include "compress/channel_flow.hpp"

#include <algorithm>

#include "compress/channel_rules.hpp"
#include "src/graph/node_inputs.hpp"

namespace pare {
namespace {

// Longer axes (vocabularies, token positions) are no channels of a constant that only passes through.
constexpr int64_t longest_free_axis = int64_t{1} << 16;

bool may_hold_channels(DType dtype) { return is_float(dtype) || dtype == DType::int8 || dtype == DType::uint8; }

}  // namespace

ChannelFlow::ChannelFlow(const Graph& graph, Factor factor, const std::map<size_t, size_t>& choices)
    : graph_(graph),
      factor_(factor),
      choices_(choices),
      axes_(graph.values.size()),
      seen_(graph.values.size(), false) {}

std::vector<Axis>& ChannelFlow::axes(ValueId id) {
  const auto index = static_cast<size_t>(id);
  std::vector<Axis>& axes = axes_[index];
  if (seen_[index]) return axes;
  seen_[index] = true;
  const Value& value = graph_.values[index];
  if (!value.shape) return axes;
  const bool open = value.constant && dtype_bits(value.constant->dtype) >= 8;
  axes.resize(value.shape->size());
  for (size_t i = 0; i < axes.size(); ++i) {
    axes[i].size = (*value.shape)[i];
    axes[i].open = open && axes[i].size > 1;
  }
  return axes;
}

bool ChannelFlow::all_equal(size_t input, double number) const {
  if (!constant(input)) return false;
  const Tensor& tensor = *graph_.value(node_->inputs[input]).constant;
  if (tensor.elements() > 16 || tensor.dtype == DType::string || dtype_bits(tensor.dtype) < 8) return false;
  const std::vector<double> values = to_double(tensor);
  return std::all_of(values.begin(), values.end(), [&](double value) { return value == number; });
}

Axis& ChannelFlow::data(size_t input, size_t axis) {
  Axis& result = in(input)[axis];
  if (!result.open) return result;
  result.open = false;
  const Tensor& tensor = *graph_.value(node_->inputs[input]).constant;
  if (!may_hold_channels(tensor.dtype) || result.size > longest_free_axis) return result;
  result.first = units.fresh(result.size, true).first;
  result.zero = !result.divisor;
  return result;
}

void ChannelFlow::tie(Axis& a, Axis& b) {
  if (a.size == 1 || b.size == 1) {
    for (Axis* axis : {&a, &b})
      if (axis->size == 1 && axis->labelled()) bar(*axis, "is a single channel");
    return;
  }
  if (a.size != b.size) {
    bar(a, "sizes differ");
    bar(b, "sizes differ");
    return;
  }
  if (a.labelled() && b.labelled()) {
    note(units.unite(a, b), "joined with channels that stay");
    return;
  }
  if (!a.labelled() && !b.labelled()) {
    a.open = b.open = a.open && b.open;
    if (!a.open) return;
    a.first = b.first = units.fresh(a.size, true).first;
    a.open = b.open = false;
    return;
  }
  Axis& with = a.labelled() ? a : b;
  Axis& without = a.labelled() ? b : a;
  if (!without.open) {
    bar(with, "meets values without channels");
    return;
  }
  without.open = false;
  without.first = with.first;
}

void ChannelFlow::bar(Axis& axis, const char* reason) {
  axis.open = false;
  if (!axis.labelled()) return;
  const int64_t frozen = units.freeze(axis);
  if (!axis.weak) note(frozen, reason);
}

void ChannelFlow::bar_inputs(const char* reason) {
  for (const ValueId input : node_->inputs) {
    if (input == no_value) continue;
    const Value& value = graph_.value(input);
    const bool weight = value.constant && value.constant->shape.size() >= 2 && may_hold_channels(value.constant->dtype);
    for (Axis& axis : axes(input)) {
      if (weight && axis.open) note(axis.size, reason);
      bar(axis, reason);
    }
  }
}

void ChannelFlow::mask(size_t input, size_t axis) {
  if (Axis& masked = in(input)[axis]; constant(input) && !masked.divisor) masked.zero = true;
}

Axis ChannelFlow::select(const Axis& axis, const std::vector<int64_t>& indices) {
  if (!axis.labelled()) return {static_cast<int64_t>(indices.size())};
  std::vector<Unit> labels;
  labels.reserve(indices.size());
  const auto from = units.labels(axis);
  for (const int64_t index : indices) labels.push_back(index < 0 ? frozen_unit : from[static_cast<size_t>(index)]);
  return units.axis_of(labels, axis.zero);
}

std::vector<const Node*> ChannelFlow::readers(ValueId id) {
  if (readers_.empty()) readers_ = consumers_of(graph_);
  return readers_[static_cast<size_t>(id)];
}

size_t ChannelFlow::choose(size_t count) {
  const auto found = choices_.find(index_);
  return found == choices_.end() || found->second >= count ? 0 : found->second;
}

void ChannelFlow::chosen(const Axis& axis, size_t count) { sites[index_] = {axis, count}; }

void ChannelFlow::note(int64_t channels, const char* reason) {
  if (channels == 0) return;
  const std::string name = node_ == nullptr ? "" : node_->name;
  if (!barriers.empty() && barriers.back().node == name && barriers.back().reason == reason) {
    barriers.back().channels += channels;
    return;
  }
  barriers.push_back({name, node_ == nullptr ? "" : node_->op, reason, channels});
}

void ChannelFlow::visit(const Node& node) {
  node_ = &node;
  const auto ranked = [&](ValueId id) { return id == no_value || graph_.value(id).shape.has_value(); };
  const bool known = std::all_of(node.inputs.begin(), node.inputs.end(), ranked) &&
                     std::all_of(node.outputs.begin(), node.outputs.end(), ranked);
  const ChannelRule* rule = find_channel_rule(node.domain, node.op);
  if (rule == nullptr) bar_inputs("the operator has no rule");
  else if (!known) bar_inputs("shapes are unknown before it runs");
  else rule->apply(*this);
}

void ChannelFlow::run() {
  for (index_ = 0; index_ < graph_.nodes.size(); ++index_) visit(graph_.nodes[index_]);
  node_ = nullptr;
  for (const Port& output : graph_.outputs)
    for (Axis& axis : axes(output.value)) bar(axis, "output of the graph");
}

}  // namespace pare
