#include "compress/channel_groups.hpp"

#include <algorithm>
#include <deque>
#include <unordered_map>

#include "src/core/error.hpp"
#include "src/graph/passes/fold_sizes.hpp"
#include "src/graph/passes/run_pass.hpp"
#include "src/graph/shape_rules.hpp"

namespace pare {
namespace {

// How often Reshape nodes may choose anew.
constexpr int most_tries = 4;

MemberSide side_of(const Node& node, size_t input, size_t axis, size_t rank) {
  const auto side = [](bool producer) { return producer ? MemberSide::producer : MemberSide::consumer; };
  if (input == 1 && node.op == "Conv" && axis < 2) return side(axis == 0);
  if (input == 1 && node.op == "ConvTranspose" && axis < 2) return side(axis == 1);
  if (input == 1 && node.op == "Gemm") return side((axis == 1) != (node.integer("transB", 0) != 0));
  if (input == 0 && node.op == "Gemm") return side((axis == 0) != (node.integer("transA", 0) != 0));
  if (node.op == "MatMul" && rank >= 2) return side((axis == rank - 1) == (input == 1));
  if (input == 0 && node.op == "Gather") return MemberSide::producer;
  if ((input == 1 || input == 2) && (node.op == "LSTM" || node.op == "GRU" || node.op == "RNN")) return side(axis == 1);
  return MemberSide::follower;
}

// Reshape choices that came to nothing and have another candidate; false when there are none.
bool choose_again(const ChannelFlow& flow, std::map<size_t, size_t>& choices) {
  bool again = false;
  for (const auto& [node, site] : flow.sites) {
    const auto labels = flow.units.labels(site.axis);
    const bool good = std::any_of(labels.begin(), labels.end(), [&](Unit unit) {
      return !flow.units.frozen(unit) && (flow.factor() == Factor::channels || flow.units.is_head(unit));
    });
    size_t& choice = choices[node];
    if (good || choice >= site.candidates) continue;
    // After the last candidate the first one again, for good.
    ++choice;
    again = true;
  }
  return again;
}

uint64_t mixed(uint64_t signature, uint64_t span) {
  uint64_t x = (signature ^ (span + 0x9e3779b97f4a7c15ull)) * 0xbf58476d1ce4e5b9ull;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

class GroupBuilder {
 public:
  GroupBuilder(const Graph& graph, ChannelGroups& result) : graph_(graph), result_(result) {}

  void build() {
    for (const Node& node : graph_.nodes)
      for (size_t i = 0; i < node.inputs.size(); ++i) add_input(node, i);
    sign();
    collect();
    measure();
  }

 private:
  struct Use {
    ValueId value;
    size_t axis;
    MemberSide side;
    const Node* node;
  };

  void add_input(const Node& node, size_t input) {
    const ValueId id = node.inputs[input];
    if (id == no_value || !graph_.value(id).constant) return;
    const std::vector<Axis>& axes = result_.axes[static_cast<size_t>(id)];
    for (size_t k = 0; k < axes.size(); ++k) {
      if (!axes[k].labelled()) continue;
      const bool first = seen_.insert({static_cast<int64_t>(id) << 8 | static_cast<int64_t>(k), uses_.size()}).second;
      if (first) uses_.push_back({id, k, side_of(node, input, k, axes.size()), &node});
    }
  }

  const Axis& axis_of(const Use& use) const { return result_.axes[static_cast<size_t>(use.value)][use.axis]; }

  // A unit's signature tells on which spans of labels of constants it lies, and how often.
  void sign() {
    signature_.assign(result_.units.size(), 0);
    std::vector<bool> signed_(result_.units.label_count(), false);
    for (const Use& use : uses_) {
      const Axis& axis = axis_of(use);
      if (signed_[static_cast<size_t>(axis.first)]) continue;
      signed_[static_cast<size_t>(axis.first)] = true;
      for (const Unit label : result_.units.labels(axis)) {
        const Unit unit = result_.units.find(label);
        if (unit == frozen_unit) continue;
        uint64_t& signature = signature_[static_cast<size_t>(unit)];
        signature = mixed(signature, static_cast<uint64_t>(axis.first));
      }
      spans_.push_back(axis);
    }
  }

  void collect() {
    result_.group_of.assign(result_.units.size(), -1);
    std::unordered_map<uint64_t, int32_t> by_signature;
    // Neighbours mostly share their group.
    int32_t last = -1;
    uint64_t last_signature = 0;
    for (const Axis& span : spans_) {
      for (const Unit label : result_.units.labels(span)) {
        const auto unit = static_cast<size_t>(result_.units.find(label));
        if (unit == frozen_unit || result_.group_of[unit] >= 0) continue;
        if (last < 0 || signature_[unit] != last_signature) {
          const auto next = static_cast<int32_t>(result_.groups.size());
          const auto [found, added] = by_signature.try_emplace(signature_[unit], next);
          if (added) {
            result_.groups.emplace_back();
            result_.groups.back().units.reserve(static_cast<size_t>(span.size));
          }
          last = found->second;
          last_signature = signature_[unit];
        }
        ChannelGroup& group = result_.groups[static_cast<size_t>(last)];
        group.units.push_back(static_cast<Unit>(unit));
        group.heads = group.heads || result_.units.is_head(static_cast<Unit>(unit));
        result_.group_of[unit] = last;
      }
    }
    for (const Use& use : uses_)
      for (const auto& [group, width] : widths(axis_of(use)))
        result_.groups[static_cast<size_t>(group)].members.push_back(
            {use.value, use.axis, width, use.side, use.node->name});
  }

  // How many indices of the axis each group has. Axes of one span are counted once.
  const std::vector<std::pair<int32_t, int64_t>>& widths(const Axis& axis) {
    if (counted_at_.empty()) counted_at_.assign(result_.units.label_count(), -1);
    int32_t& at = counted_at_[static_cast<size_t>(axis.first)];
    if (at < 0) {
      at = static_cast<int32_t>(counted_.size());
      counted_.push_back(count(axis));
    }
    return counted_[static_cast<size_t>(at)];
  }

  std::vector<std::pair<int32_t, int64_t>> count(const Axis& axis) const {
    std::vector<std::pair<int32_t, int64_t>> found;
    for (const Unit label : result_.units.labels(axis)) {
      const int32_t group = result_.group(label);
      if (group < 0) continue;
      if (found.empty() || found.back().first != group) {
        const auto known =
            std::find_if(found.begin(), found.end(), [&](const auto& entry) { return entry.first == group; });
        if (known == found.end()) found.push_back({group, 0});
        else std::swap(*known, found.back());
      }
      ++found.back().second;
    }
    return found;
  }

  // The axes of layers' weights: those that only count heads are no widths of layers.
  static int64_t head_width(const ChannelGroup& group) {
    int64_t least = 0;
    for (const GroupMember& member : group.members) {
      if (member.side == MemberSide::follower) continue;
      const int64_t of_unit = member.width / group.size();
      least = least == 0 ? of_unit : std::min(least, of_unit);
    }
    return least;
  }

  void measure() {
    std::vector<bool> measured(result_.units.label_count(), false);
    std::vector<int64_t> narrowest(result_.groups.size(), 0);
    for (const auto& axes : result_.axes) {
      for (const Axis& axis : axes) {
        if (!axis.labelled() || measured[static_cast<size_t>(axis.first)]) continue;
        measured[static_cast<size_t>(axis.first)] = true;
        for (const auto& [group, width] : widths(axis)) {
          const int64_t of_unit = std::max<int64_t>(1, width / result_.groups[static_cast<size_t>(group)].size());
          int64_t& least = narrowest[static_cast<size_t>(group)];
          least = least == 0 ? of_unit : std::min(least, of_unit);
        }
      }
    }
    for (size_t i = 0; i < narrowest.size(); ++i) {
      ChannelGroup& group = result_.groups[i];
      group.width_of_unit = std::max<int64_t>(1, group.heads ? head_width(group) : narrowest[i]);
    }
  }

  const Graph& graph_;
  ChannelGroups& result_;
  std::vector<Use> uses_;
  std::unordered_map<int64_t, size_t> seen_;
  std::vector<Axis> spans_;
  std::vector<uint64_t> signature_;
  std::vector<int32_t> counted_at_;  // by first label: where its span's widths are
  std::deque<std::vector<std::pair<int32_t, int64_t>>> counted_;
};

}  // namespace

Graph with_folded_sizes(const Graph& graph) {
  Graph folded = graph;
  run_pass(folded, "fold sizes", fold_sizes);
  run_pass(folded, "remove dead nodes", remove_dead_nodes);
  return folded;
}

Graph with_sizes(const Graph& graph, const std::map<std::string, Shape>& shapes, AssumedSizes assumed) {
  Graph sized = graph;
  std::map<std::string, int64_t> symbols;
  for (const Port& port : sized.inputs)
    if (port.ranked && !port.dims.empty() && port.dims[0].size < 0) symbols[port.dims[0].symbol] = assumed.batch;
  for (const Port& port : sized.inputs) {
    Value& value = sized.value(port.value);
    if (!value.shape) continue;
    const auto given = shapes.find(value.name);
    Shape& shape = *value.shape;
    if (given != shapes.end() && given->second.size() == shape.size()) shape = given->second;
    for (size_t k = 0; k < shape.size(); ++k) {
      if (shape[k] >= 0) continue;
      const auto symbol = k < port.dims.size() ? symbols.find(port.dims[k].symbol) : symbols.end();
      const bool batch = k == 0 || (symbol != symbols.end() && !symbol->first.empty());
      shape[k] = batch ? assumed.batch : assumed.other;
    }
  }
  infer_shapes(sized);
  return sized;
}

ChannelGroups channel_groups(const Graph& graph, Factor factor, const std::map<std::string, Shape>& shapes) {
  ChannelGroups result;
  result.sized = with_sizes(graph, shapes);
  std::map<size_t, size_t> choices;
  for (int attempt = 0;; ++attempt) {
    ChannelFlow flow(result.sized, factor, choices);
    flow.run();
    if (attempt < most_tries && choose_again(flow, choices)) continue;
    result.axes = flow.take_axes();
    result.units = std::move(flow.units);
    result.barriers = std::move(flow.barriers);
    break;
  }
  GroupBuilder(result.sized, result).build();
  return result;
}

}  // namespace pare
