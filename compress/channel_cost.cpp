#include "compress/channel_cost.hpp"

#include <algorithm>
#include <numeric>

#include "src/graph/cost.hpp"

namespace pare {
namespace {

// A part of a node's MACs, and the axes whose sizes multiply to it.
struct Product {
  double part;
  std::vector<Axis> factors;
};

// Of most nodes all of the MACs: the axes of the output, and what it sums over.
std::vector<Product> products_of(const ChannelGroups& groups, const Node& node) {
  const auto axes = [&](ValueId id) -> const std::vector<Axis>& { return groups.axes[static_cast<size_t>(id)]; };
  if (node.domain.empty() && (node.op == "LSTM" || node.op == "GRU" || node.op == "RNN")) {
    // Weights are [directions, gates x state, input] and [directions, gates x state, state].
    const std::vector<Axis>&input = axes(node.inputs[1]), &state = axes(node.inputs[2]);
    if (input.size() != 3 || state.size() != 3) return {{1, {}}};
    const auto read = static_cast<double>(input[2].size), kept = static_cast<double>(state[2].size);
    return {{read / (read + kept), {state[2], input[2]}}, {kept / (read + kept), {state[2], state[2]}}};
  }
  if (node.outputs[0] == no_value) return {{1, {}}};  // of recurrent layers of other domains
  std::vector<Axis> factors = axes(node.outputs[0]);
  const std::vector<Axis>& weight = axes(node.inputs[1]);
  if (node.op == "Conv" && weight.size() > 1) factors.push_back(weight[1]);
  if (node.op == "Gemm" && weight.size() == 2) factors.push_back(weight[node.integer("transB", 0) != 0 ? 1 : 0]);
  if (node.op == "MatMul" && !weight.empty()) factors.push_back(weight[weight.size() < 2 ? 0 : weight.size() - 2]);
  if (node.op == "ConvTranspose" && weight.size() > 1) {
    // Every input element meets the output channels of its group.
    factors = axes(node.inputs[0]);
    factors.push_back(weight[1]);
  }
  return {{1, std::move(factors)}};
}

}  // namespace

ChannelCost::ChannelCost(const ChannelGroups& groups) : share_at_(groups.units.label_count(), -1) {
  const GraphCost cost = graph_cost(groups.sized);
  for (const NodeCost& row : cost.nodes) {
    if (row.graph != &groups.sized || row.macs <= 0) continue;  // subgraphs keep their channels
    for (const Product& product : products_of(groups, *row.node)) {
      Term term{static_cast<double>(row.macs) * product.part, {}};
      for (const Axis& axis : product.factors) add_share(term, groups, axis);
      macs_.push_back(std::move(term));
    }
  }
  const std::vector<bool> parameter = parameters_of(groups.sized);
  std::vector<bool> read(groups.sized.values.size(), false);
  for (const Node& node : groups.sized.nodes)
    for (const ValueId input : node.inputs)
      if (input != no_value) read[static_cast<size_t>(input)] = true;
  for (size_t i = 0; i < read.size(); ++i) {
    if (!read[i] || !parameter[i]) continue;
    Term term{static_cast<double>(groups.sized.values[i].constant->elements()), {}};
    for (const Axis& axis : groups.axes[i]) add_share(term, groups, axis);
    parameters_.push_back(std::move(term));
  }
}

void ChannelCost::add_share(Term& term, const ChannelGroups& groups, const Axis& axis) {
  if (!axis.labelled()) return;
  int32_t& index = share_at_[static_cast<size_t>(axis.first)];
  if (index < 0) {
    index = static_cast<int32_t>(shares_.size());
    Share share{static_cast<double>(axis.size), 0, {}};
    std::map<int32_t, double> counts;
    for (const Unit label : groups.units.labels(axis)) {
      const int32_t group = groups.group(label);
      if (group < 0) ++share.fixed;
      else ++counts[group];
    }
    for (const auto& [group, count] : counts)
      share.per_unit.push_back({group, count / static_cast<double>(groups.groups[static_cast<size_t>(group)].size())});
    shares_.push_back(std::move(share));
  }
  if (!shares_[static_cast<size_t>(index)].per_unit.empty()) term.shares.push_back(index);
}

template <class Number>
double ChannelCost::total(const std::vector<Term>& terms, const std::vector<Number>& widths) const {
  std::vector<double> kept(shares_.size());
  for (size_t i = 0; i < kept.size(); ++i) {
    double size = shares_[i].fixed;
    for (const auto& [group, count] : shares_[i].per_unit)
      size += count * static_cast<double>(widths[static_cast<size_t>(group)]);
    kept[i] = size / shares_[i].length;
  }
  double sum = 0;
  for (const Term& term : terms) {
    double amount = term.amount;
    for (const int32_t share : term.shares) amount *= kept[static_cast<size_t>(share)];
    sum += amount;
  }
  return sum;
}

template double ChannelCost::total(const std::vector<Term>&, const std::vector<int64_t>&) const;
template double ChannelCost::total(const std::vector<Term>&, const std::vector<double>&) const;

double ChannelCost::channels(const Widths& widths) {
  return static_cast<double>(std::accumulate(widths.begin(), widths.end(), int64_t{0}));
}

Widths ChannelCost::full(const ChannelGroups& groups) {
  Widths widths;
  for (const ChannelGroup& group : groups.groups) widths.push_back(group.size());
  return widths;
}

}  // namespace pare
