// Operators that work on each channel by itself along some axes, and mix others.
#include <algorithm>

#include "compress/channel_rules.hpp"
#include "src/graph/axes.hpp"
#include "src/graph/node_inputs.hpp"

namespace pare::channel_rules {
namespace {

size_t axis_of(ChannelFlow& flow, int64_t otherwise) {
  return axis_index(flow.node(), flow.node().integer("axis", otherwise), flow.in(0).size());
}

// Scale and bias of each channel: [C] beside axis 1 of the input. The output is zero where both are.
void tie_channel_constants(ChannelFlow& flow, size_t constants) {
  Axis& channels = flow.data(0, 1);
  for (size_t i = 1; i <= constants; ++i) {
    if (!flow.given(i)) continue;
    if (i <= 2) flow.mask(i, 0);
    flow.tie(channels, flow.in(i)[0]);
  }
  flow.out()[1] = channels;
  flow.out()[1].zero = flow.in(1)[0].zero && flow.in(2)[0].zero;
}

// Output axes are the input's where they have the same size and are not barred.
void pass(ChannelFlow& flow, size_t input, size_t output, const std::vector<bool>& barred, const char* reason) {
  for (size_t k = 0; k < flow.in(input).size(); ++k) {
    if (barred[k]) flow.bar(flow.in(input)[k], reason);
    else flow.out(output)[k] = flow.data(input, k);
  }
}

void reduce_axes(ChannelFlow& flow, bool zero_sums) {
  const auto axes = constant_integers(flow.graph(), flow.node(), 1);
  if (flow.given(1) && !axes) return flow.bar_inputs("axes are computed");
  const size_t rank = flow.in(0).size();
  const bool all = !axes || axes->empty();
  if (all && flow.node().integer("noop_with_empty_axes", 0) != 0) return cast(flow);
  std::vector<bool> reduced(rank, all);
  if (axes)
    for (const int64_t axis : *axes) reduced[axis_index(flow.node(), axis, rank)] = true;
  const bool keeps = flow.node().integer("keepdims", 1) != 0;
  size_t place = 0;
  for (size_t k = 0; k < rank; ++k) {
    Axis& axis = flow.data(0, k);
    if (!reduced[k]) flow.out()[place] = axis;
    else if (!(zero_sums && axis.zero)) flow.bar(axis, "reduced over");
    if (!reduced[k] || keeps) ++place;
  }
}

}  // namespace

void batch_normalization(ChannelFlow& flow) {
  tie_channel_constants(flow, 4);
  for (size_t k = 0; k < flow.out().size(); ++k) {
    if (k == 1) continue;
    flow.out()[k] = flow.in(0)[k];
    flow.out()[k].zero = false;
  }
}

void instance_normalization(ChannelFlow& flow) {
  tie_channel_constants(flow, 2);
  for (size_t k = 2; k < flow.in(0).size(); ++k) flow.bar(flow.in(0)[k], "normalised over");
}

// Statistics are of a group: whole groups can go.
void group_normalization(ChannelFlow& flow) {
  tie_channel_constants(flow, 2);
  for (size_t k = 2; k < flow.in(0).size(); ++k) flow.bar(flow.in(0)[k], "normalised over");
  const Axis& channels = flow.out()[1];
  const int64_t groups = flow.node().integer("num_groups", 1);
  if (!channels.labelled() || groups < 1) return;
  const auto labels = flow.units.labels(channels);
  const auto part = static_cast<size_t>(channels.size / groups);
  for (size_t i = 0; i < labels.size(); ++i) flow.units.unite(labels[i], labels[i / part * part]);
}

void layer_normalization(ChannelFlow& flow) {
  const size_t axis = axis_of(flow, -1);
  std::vector<bool> barred(flow.in(0).size(), false);
  std::fill(barred.begin() + static_cast<std::ptrdiff_t>(axis), barred.end(), true);
  pass(flow, 0, 0, barred, "normalised over");
  for (size_t k = 0; k < axis; ++k) flow.out()[k].zero = false;
  for (size_t i = 1; i < flow.node().inputs.size(); ++i)
    if (flow.given(i))
      for (Axis& other : flow.in(i)) flow.bar(other, "normalised over");
}

// Softmax and its kind.
void along_axis(ChannelFlow& flow) {
  const size_t axis = axis_of(flow, -1);
  std::vector<bool> barred(flow.in(0).size(), false);
  barred[axis] = true;
  pass(flow, 0, 0, barred, "normalised over");
  for (Axis& out : flow.out()) out.zero = false;
}

void cumulative(ChannelFlow& flow) {
  const auto axis = constant_integers(flow.graph(), flow.node(), 1);
  if (!axis || axis->size() != 1) return flow.bar_inputs("the axis is computed");
  std::vector<bool> barred(flow.in(0).size(), false);
  barred[axis_index(flow.node(), axis->front(), barred.size())] = true;
  pass(flow, 0, 0, barred, "summed along");
}

void arg(ChannelFlow& flow) {
  const size_t axis = axis_of(flow, 0);
  const bool keeps = flow.node().integer("keepdims", 1) != 0;
  size_t place = 0;
  for (size_t k = 0; k < flow.in(0).size(); ++k) {
    if (k == axis) {
      flow.bar(flow.in(0)[k], "positions along it are the result");
      place += keeps ? 1 : 0;
      continue;
    }
    flow.out()[place] = flow.data(0, k);
    flow.out()[place++].zero = false;
  }
}

// A sum over channels that are zero when masked is the sum over the others.
void reduce_zero(ChannelFlow& flow) { reduce_axes(flow, true); }

void reduce(ChannelFlow& flow) { reduce_axes(flow, false); }

void pool(ChannelFlow& flow) {
  std::vector<bool> barred(flow.in(0).size(), true);
  for (size_t k = 0; k < std::min<size_t>(2, barred.size()); ++k) barred[k] = false;
  if (flow.has_output(1)) std::fill(barred.begin(), barred.end(), true);
  pass(flow, 0, 0, barred, "pooled over");
}

// Scale and zero point of a tensor, of each index of an axis, or of blocks along it.
void quantize(ChannelFlow& flow) {
  std::vector<Axis>& x = flow.in(0);
  for (size_t k = 0; k < x.size(); ++k) flow.out()[k] = flow.data(0, k);
  const bool shifted = flow.given(2) && !flow.all_equal(2, 0);
  for (size_t input = 1; input <= 2; ++input) {
    if (!flow.given(input) || flow.in(input).empty()) continue;
    std::vector<Axis>& scale = flow.in(input);
    if (scale.size() == 1 && scale[0].size == 1) continue;  // of the whole tensor
    const size_t axis = axis_of(flow, 1);
    if (scale.size() == 1) {
      flow.tie(x[axis], scale[0]);
      continue;
    }
    for (size_t k = 0; k < scale.size(); ++k) {
      if (k != axis && scale[k].size == x[k].size) flow.tie(x[k], scale[k]);
      else flow.bar(x[k], "quantized in blocks"), flow.bar(scale[k], "quantized in blocks");
    }
  }
  // Masked weights are stored as 0, which a zero point elsewhere would turn into another number.
  if (flow.constant(0) && shifted) flow.bar_inputs("quantized with a zero point");
  for (size_t k = 0; k < x.size(); ++k) flow.out()[k] = x[k];
}

void trilu(ChannelFlow& flow) {
  std::vector<bool> barred(flow.in(0).size(), false);
  for (size_t k = 0; k < std::min<size_t>(2, barred.size()); ++k) barred[barred.size() - 1 - k] = true;
  pass(flow, 0, 0, barred, "its triangle counts positions");
}

}  // namespace pare::channel_rules
