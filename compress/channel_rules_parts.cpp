// Operators that put axes together, or take parts of them.
#include <algorithm>
#include <numeric>

#include "compress/channel_rules.hpp"
#include "src/graph/axes.hpp"
#include "src/graph/node_inputs.hpp"

namespace pare::channel_rules {
namespace {

std::vector<int64_t> counting(int64_t first, int64_t count, int64_t step = 1) {
  std::vector<int64_t> indices(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) indices[static_cast<size_t>(i)] = first + i * step;
  return indices;
}

void unite_blocks(ChannelFlow& flow, const Axis& axis, int64_t block) {
  if (!axis.labelled()) return;
  const auto labels = flow.units.labels(axis);
  const auto size = static_cast<size_t>(block);
  for (size_t i = 0; i < labels.size(); ++i) flow.units.unite(labels[i], labels[i / size * size]);
}

// One axis of Slice. Every s-th index stays every s-th only if whole blocks of s go.
Axis sliced(ChannelFlow& flow, Axis& axis, int64_t start, int64_t step, int64_t count) {
  if (!axis.labelled()) return {count};
  const bool whole = start == 0 && count == axis.size;
  if (step != 1 && !(step > 1 && axis.size % step == 0 && count == axis.size / step) && !whole) {
    flow.bar(axis, "sliced with steps");
    return {count};
  }
  if (step > 1) unite_blocks(flow, axis, step);
  return flow.select(axis, counting(start, count, step));
}

}  // namespace

void concat(ChannelFlow& flow) {
  const size_t rank = flow.out().size();
  const size_t axis = axis_index(flow.node(), flow.node().integer("axis", 0), rank);
  bool any = false;
  for (size_t i = 0; i < flow.node().inputs.size(); ++i)
    for (size_t k = 0; k < rank; ++k) any = flow.data(i, k).labelled() || any;
  if (!any) return;
  std::vector<Unit> joined;
  bool zero = true;
  for (size_t i = 0; i < flow.node().inputs.size(); ++i) {
    for (size_t k = 0; k < rank; ++k) {
      Axis& part = flow.in(i)[k];
      if (k != axis) {
        if (i > 0) flow.tie(flow.in(0)[k], part);
        continue;
      }
      if (part.size < 0) return flow.bar_inputs("shapes are unknown before it runs");
      if (part.labelled()) {
        const auto labels = flow.units.labels(part);
        joined.insert(joined.end(), labels.begin(), labels.end());
        zero = zero && part.zero;
      } else {
        joined.insert(joined.end(), static_cast<size_t>(part.size), frozen_unit);
      }
    }
  }
  for (size_t k = 0; k < rank; ++k) {
    if (k == axis) continue;
    bool zeros = true;
    for (size_t i = 0; i < flow.node().inputs.size(); ++i) zeros = zeros && flow.in(i)[k].zero;
    flow.out()[k] = flow.in(0)[k];
    flow.out()[k].zero = zeros;
  }
  const bool channels = std::any_of(joined.begin(), joined.end(), [](Unit unit) { return unit != frozen_unit; });
  if (channels) flow.out()[axis] = flow.units.axis_of(joined, zero);
}

void split(ChannelFlow& flow) {
  const size_t axis = axis_index(flow.node(), flow.node().integer("axis", 0), flow.in(0).size());
  int64_t start = 0;
  for (size_t i = 0; i < flow.node().outputs.size(); ++i) {
    if (!flow.has_output(i)) return flow.bar_inputs("a part is left out");
    for (size_t k = 0; k < flow.in(0).size(); ++k) {
      Axis& whole = flow.data(0, k);
      Axis& part = flow.out(i)[k];
      if (k != axis) {
        part = whole;
      } else if (part.size < 0) {
        flow.bar(whole, "sizes of the parts are computed");
      } else {
        part = sliced(flow, whole, start, 1, part.size);
        start += part.size;
      }
    }
  }
}

void slice(ChannelFlow& flow) {
  std::vector<Axis>& x = flow.in(0);
  for (size_t k = 0; k < x.size(); ++k) flow.data(0, k);
  const auto starts = constant_integers(flow.graph(), flow.node(), 1);
  const auto axes = constant_integers(flow.graph(), flow.node(), 3);
  const auto steps = constant_integers(flow.graph(), flow.node(), 4);
  if ((flow.given(3) && !axes) || (flow.given(4) && !steps)) return flow.bar_inputs("the part is computed");
  for (size_t k = 0; k < x.size(); ++k) {
    if (x[k].size == flow.out()[k].size) flow.out()[k] = x[k];
  }
  const size_t count = axes ? axes->size() : starts ? starts->size() : x.size();
  for (size_t i = 0; i < count; ++i) {
    const size_t k = axis_index(flow.node(), axes ? (*axes)[i] : static_cast<int64_t>(i), x.size());
    Axis& out = flow.out()[k];
    if (!x[k].labelled()) continue;
    const int64_t step = steps ? (*steps)[i] : 1;
    if (!starts || out.size < 0) {
      flow.bar(x[k], "the part is computed");
      continue;
    }
    int64_t start = (*starts)[i] < 0 ? (*starts)[i] + x[k].size : (*starts)[i];
    start = std::clamp<int64_t>(start, 0, step < 0 ? x[k].size - 1 : x[k].size);
    if (step < 0) {
      // Only a plain reversal stays one.
      const bool reversal = step == -1 && start == x[k].size - 1 && out.size == x[k].size;
      if (!reversal) flow.bar(x[k], "sliced with steps");
      out = reversal ? flow.select(x[k], counting(start, out.size, -1)) : Axis{out.size};
      continue;
    }
    out = sliced(flow, x[k], start, step, out.size);
  }
}

void gather(ChannelFlow& flow) {
  std::vector<Axis>& x = flow.in(0);
  std::vector<Axis>& indices = flow.in(1);
  std::vector<Axis>& out = flow.out();
  const size_t axis = axis_index(flow.node(), flow.node().integer("axis", 0), x.size());
  for (Axis& index : indices) flow.bar(index, "selects by position");
  for (size_t k = 0; k < x.size(); ++k) {
    if (k == axis) continue;
    flow.mask(0, k);
    out[k < axis ? k : k + indices.size() - 1] = flow.data(0, k);
  }
  const bool table = flow.constant(0) && !flow.constant(1);
  if (!table) flow.data(0, axis);
  if (!x[axis].labelled()) {
    flow.bar(x[axis], "selects by position");
    return;
  }
  const auto chosen = constant_integers(flow.graph(), flow.node(), 1);
  if (!chosen || indices.size() > 1) return flow.bar(x[axis], "selects by position");
  std::vector<int64_t> places = *chosen;
  for (int64_t& place : places) {
    if (place < 0) place += x[axis].size;
    if (place < 0 || place >= x[axis].size) return flow.bar(x[axis], "selects by position");
  }
  Axis picked = flow.select(x[axis], places);
  if (indices.empty()) flow.bar(picked, "selects one by position");
  else out[axis] = picked;
}

// New channels at both ends; they go where what they are added to goes.
void pad(ChannelFlow& flow) {
  std::vector<Axis>& x = flow.in(0);
  const auto pads = constant_integers(flow.graph(), flow.node(), 1);
  const auto axes = constant_integers(flow.graph(), flow.node(), 3);
  const bool constant = flow.node().text("mode", "constant") == "constant";
  if (!pads || (flow.given(3) && !axes)) return flow.bar_inputs("what is added is computed");
  const size_t count = axes ? axes->size() : x.size();
  for (size_t k = 0; k < x.size(); ++k) flow.out()[k] = flow.data(0, k);
  const bool zero = constant && (!flow.given(2) || flow.all_equal(2, 0));
  for (size_t k = 0; k < x.size(); ++k) flow.out()[k].zero = flow.out()[k].zero && zero;
  for (size_t i = 0; i < count; ++i) {
    const size_t k = axis_index(flow.node(), axes ? (*axes)[i] : static_cast<int64_t>(i), x.size());
    const int64_t begin = (*pads)[i];
    const int64_t end = (*pads)[i + count];
    if (begin == 0 && end == 0) continue;
    const int64_t size = x[k].size < 0 ? -1 : x[k].size + begin + end;
    flow.out()[k] = {size};
    if (!x[k].labelled()) continue;
    if (!constant || begin < 0 || end < 0) {
      flow.bar(x[k], "padded along");
      continue;
    }
    const Axis added = flow.units.fresh(begin + end, true);
    const auto ends = flow.units.labels(added);
    const auto middle = flow.units.labels(x[k]);
    std::vector<Unit> labels(ends.begin(), ends.begin() + begin);
    labels.insert(labels.end(), middle.begin(), middle.end());
    labels.insert(labels.end(), ends.begin() + begin, ends.end());
    flow.out()[k] = flow.units.axis_of(labels, zero && x[k].zero);
  }
}

}  // namespace pare::channel_rules
