// Sums of products: convolutions, matrix products, recurrent layers. Along what they sum over, the weights are the
// consumers of the input's channels; their other axis makes new ones.
#include <algorithm>

#include "compress/channel_rules.hpp"

namespace pare::channel_rules {
namespace {

// `a` and `b` are multiplied and summed over: a removed channel must have been zero on one side.
void contract(ChannelFlow& flow, Axis& a, Axis& b) {
  flow.tie(a, b);
  if (a.labelled() && !a.zero && !b.zero) flow.bar(a, "sums over channels that are not zero when masked");
}

// Every label of `tiled` is that of `base` at its place modulo base's size.
void tie_tiles(ChannelFlow& flow, Axis& tiled, Axis& base) {
  if (!tiled.labelled() || !base.labelled()) {
    flow.bar(tiled, "meets values without channels");
    flow.bar(base, "meets values without channels");
    return;
  }
  const auto from = flow.units.labels(tiled);
  const auto to = flow.units.labels(base);
  for (size_t i = 0; i < from.size(); ++i) flow.units.unite(from[i], to[i % to.size()]);
}

Axis tiled(ChannelFlow& flow, const Axis& base, int64_t times) {
  std::vector<int64_t> indices;
  for (int64_t t = 0; t < times; ++t)
    for (int64_t i = 0; i < base.size; ++i) indices.push_back(i);
  return flow.select(base, indices);
}

// Unites the labels of each of `groups` equal parts of an axis.
void unite_parts(ChannelFlow& flow, const Axis& axis, int64_t groups) {
  if (!axis.labelled()) return;
  const auto labels = flow.units.labels(axis);
  const size_t part = labels.size() / static_cast<size_t>(groups);
  for (size_t i = 0; i < labels.size(); ++i) flow.units.unite(labels[i], labels[i / part * part]);
}

struct ConvAxes {
  size_t out;  // of the weight: [O, I/group, ...] of Conv, [I, O/group, ...] of ConvTranspose
  size_t in;
};

// One channel in, one group: inputs and outputs of a group share a unit.
Axis tie_whole_groups(ChannelFlow& flow, Axis& total, Axis& x, Axis& narrow, int64_t groups, bool transposed) {
  flow.bar(narrow, "width of a group");
  if (!x.labelled()) {
    flow.bar(total, "the input's channels stay");
    return {total.size};
  }
  unite_parts(flow, x, groups);
  if (transposed) {
    flow.tie(total, x);
    std::vector<int64_t> indices;
    for (int64_t g = 0; g < groups; ++g)
      indices.insert(indices.end(), static_cast<size_t>(narrow.size), g * (x.size / groups));
    return flow.select(x, indices);
  }
  if (!total.labelled()) {
    flow.bar(x, "meets values without channels");
    return {total.size};
  }
  unite_parts(flow, total, groups);
  const auto in = flow.units.labels(x);
  const auto out = flow.units.labels(total);
  for (int64_t g = 0; g < groups; ++g)
    flow.units.unite(in[static_cast<size_t>(g * x.size / groups)], out[static_cast<size_t>(g * total.size / groups)]);
  return total;
}

// Channel j of every group shares a unit with channel j of the others.
Axis tie_alike_groups(ChannelFlow& flow, Axis& total, Axis& x, Axis& narrow, int64_t groups, bool transposed) {
  std::vector<int64_t> first(static_cast<size_t>(total.size));
  for (int64_t i = 0; i < total.size; ++i) first[static_cast<size_t>(i)] = i % (total.size / groups);
  if (total.labelled()) flow.units.unite(total, flow.select(total, first));
  if (!transposed) {
    tie_tiles(flow, x, narrow);
    return total;
  }
  flow.tie(total, x);
  return tiled(flow, narrow, groups);
}

void convolve(ChannelFlow& flow, ConvAxes at) {
  std::vector<Axis>& x = flow.in(0);
  std::vector<Axis>& weight = flow.in(1);
  std::vector<Axis>& out = flow.out();
  if (x.size() < 3 || weight.size() != x.size()) return flow.bar_inputs("ranks differ");
  for (size_t k = 2; k < x.size(); ++k) {
    flow.bar(x[k], "convolved over");
    flow.bar(weight[k], "convolved over");
  }
  const int64_t groups = flow.node().integer("group", 1);
  const bool transposed = at.in == 0;
  flow.data(0, 1);
  const auto made = [&](size_t axis) -> Axis& { return flow.data(1, axis); };
  flow.mask(1, 0);
  flow.mask(1, 1);
  out[0] = flow.data(0, 0);
  out[0].zero = false;
  if (groups == 1) {
    contract(flow, x[1], weight[at.in]);
    out[1] = made(at.out);
  } else {
    Axis& total = made(0);
    const int64_t width = x[1].size / groups;
    if (whole_groups(groups, width)) out[1] = tie_whole_groups(flow, total, x[1], weight[1], groups, transposed);
    else out[1] = tie_alike_groups(flow, total, x[1], made(1), groups, transposed);
    if (x[1].labelled() && !x[1].zero && !weight[at.in].zero && !total.zero)
      flow.bar(x[1], "sums over channels that are not zero when masked");
    out[1].zero = total.zero;
  }
  if (!flow.given(2)) return;
  flow.mask(2, 0);
  flow.tie(out[1], flow.in(2)[0]);
  out[1].zero = out[1].zero && flow.in(2)[0].zero;
}

// The axes of a product of matrices: inner ones are summed over, outer ones are the output's.
void multiply(ChannelFlow& flow, size_t inner_a, size_t inner_b) {
  flow.mask(0, inner_a);
  flow.mask(1, inner_b);
  contract(flow, flow.in(0)[inner_a], flow.in(1)[inner_b]);
}

void recurrent(ChannelFlow& flow, int64_t gates) {
  std::vector<Axis>& x = flow.in(0);
  if (!flow.constant(1) || !flow.constant(2)) return flow.bar_inputs("weights are computed");
  flow.bar(x[0], "recurrent over");
  flow.bar(x[1], "recurrent over");
  flow.mask(1, 2);
  contract(flow, x[2], flow.in(1)[2]);
  Axis& hidden = flow.data(2, 2);
  for (const size_t input : {1, 2}) tie_tiles(flow, flow.data(input, 1), hidden);
  if (flow.constant(3)) tie_tiles(flow, flow.data(3, 1), hidden);
  else if (flow.given(3)) flow.bar(hidden, "meets values without channels");
  if (gates == 4 && flow.constant(7)) tie_tiles(flow, flow.data(7, 1), hidden);
  else if (gates == 4 && flow.given(7)) flow.bar(hidden, "meets values without channels");
  // With weights and states of zero the candidate state is tanh(0), whatever the gates are.
  bool zero = !flow.node().has("activations");
  for (const size_t state : {5, 6}) {
    if (!flow.given(state) || (state == 6 && gates != 4)) continue;
    flow.mask(state, 2);
    flow.tie(flow.in(state)[2], hidden);
    zero = zero && flow.in(state)[2].zero;
  }
  for (size_t i = 0; i < 3; ++i) {
    if (!flow.has_output(i)) continue;
    flow.out(i).back() = hidden;
    flow.out(i).back().zero = zero;
  }
}

}  // namespace

void conv(ChannelFlow& flow) { convolve(flow, {0, 1}); }

void conv_transpose(ChannelFlow& flow) { convolve(flow, {1, 0}); }

void gemm(ChannelFlow& flow) {
  const bool trans_a = flow.node().integer("transA", 0) != 0;
  const bool trans_b = flow.node().integer("transB", 0) != 0;
  multiply(flow, trans_a ? 0 : 1, trans_b ? 1 : 0);
  std::vector<Axis>& out = flow.out();
  const size_t outer_b = trans_b ? 0 : 1;
  flow.mask(1, outer_b);
  out[0] = flow.data(0, trans_a ? 1 : 0);
  out[1] = flow.data(1, outer_b);
  if (!flow.given(2)) return;
  std::vector<Axis>& bias = flow.in(2);
  for (size_t k = 0; k < 2; ++k) {
    const size_t offset = 2 - bias.size();
    const bool spread = k < offset || bias[k - offset].size == 1;
    if (!spread) {
      flow.mask(2, k - offset);
      flow.tie(out[k], bias[k - offset]);
    }
    out[k].zero = out[k].zero && (spread ? flow.all_equal(2, 0) : bias[k - offset].zero);
  }
}

void matmul(ChannelFlow& flow) {
  std::vector<Axis>& a = flow.in(0);
  std::vector<Axis>& b = flow.in(1);
  std::vector<Axis>& out = flow.out();
  multiply(flow, a.size() - 1, b.size() < 2 ? 0 : b.size() - 2);
  size_t next = out.size();
  if (b.size() > 1) {
    flow.mask(1, b.size() - 1);
    out[--next] = flow.data(1, b.size() - 1);
  }
  if (a.size() > 1) {
    flow.mask(0, a.size() - 2);
    out[--next] = flow.data(0, a.size() - 2);
  }
  // Leading axes are broadcast.
  const bool computed = !flow.constant(0) && !flow.constant(1);
  for (size_t k = 0; k < next; ++k) {
    const auto at = [&](size_t input, std::vector<Axis>& axes) -> Axis* {
      const size_t leading = axes.size() < 2 ? 0 : axes.size() - 2;
      const size_t offset = next - leading;
      return k < offset || axes[k - offset].size == 1 ? nullptr : &flow.data(input, k - offset);
    };
    Axis* left = at(0, a);
    Axis* right = at(1, b);
    if (left == nullptr && right == nullptr) continue;
    if (left != nullptr && right != nullptr) {
      flow.tie(*left, *right);
      if (computed && left->labelled()) flow.units.mark_heads(*left);
    }
    const bool zero = (left != nullptr && left->zero) || (right != nullptr && right->zero);
    out[k] = left != nullptr ? *left : *right;
    out[k].zero = zero;
  }
}

void einsum(ChannelFlow& flow) {
  std::string equation = flow.node().text("equation", "");
  equation.erase(std::remove(equation.begin(), equation.end(), ' '), equation.end());
  const size_t arrow = equation.find("->");
  if (arrow == std::string::npos || equation.find('.') != std::string::npos)
    return flow.bar_inputs("an equation without '->', or with '...'");
  const std::string result = equation.substr(arrow + 2);
  std::map<char, std::vector<Axis*>> by_letter;
  size_t input = 0, axis = 0;
  for (const char letter : equation.substr(0, arrow)) {
    if (letter == ',') {
      ++input, axis = 0;
      continue;
    }
    if (input >= flow.node().inputs.size() || axis >= flow.in(input).size())
      return flow.bar_inputs("the equation does not fit");
    flow.mask(input, axis);
    by_letter[letter].push_back(&flow.data(input, axis++));
  }
  for (auto& [letter, uses] : by_letter) {
    const size_t place = result.find(letter);
    bool zero = false;
    for (Axis* use : uses) {
      flow.tie(*uses.front(), *use);
      zero = zero || use->zero;
    }
    if (place == std::string::npos) {
      if (!zero) flow.bar(*uses.front(), "sums over channels that are not zero when masked");
      continue;
    }
    Axis& out = flow.out()[place];
    if (out.size != uses.front()->size) {
      flow.bar(*uses.front(), "sizes differ");
      continue;
    }
    out = *uses.front();
    out.zero = zero;
    if (uses.size() > 1 && out.labelled() && !flow.constant(0) && !flow.constant(1)) flow.units.mark_heads(out);
  }
}

void lstm(ChannelFlow& flow) { recurrent(flow, 4); }
void gru(ChannelFlow& flow) { recurrent(flow, 3); }
void rnn(ChannelFlow& flow) { recurrent(flow, 1); }

}  // namespace pare::channel_rules
