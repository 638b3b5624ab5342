#include "compress/channel_rules.hpp"

namespace pare::channel_rules {
namespace {

// No channel of the input may be zero when masked: something divides by it.
void divide_by(ChannelFlow& flow, size_t input) {
  for (Axis& axis : flow.in(input)) {
    if (axis.labelled() && axis.zero) flow.bar(axis, "divides by channels that are zero when masked");
    axis.divisor = flow.constant(input);
  }
}

}  // namespace

void broadcast(ChannelFlow& flow, Zero zero, size_t values) {
  std::vector<Axis>& result = flow.out();
  // Without its only channel such an axis would not be spread but leave nothing.
  for (size_t i = 0; i < flow.node().inputs.size(); ++i)
    if (flow.given(i))
      for (Axis& axis : flow.in(i))
        if (axis.size == 1 && axis.labelled()) flow.bar(axis, "is a single channel that meets others");
  for (size_t k = 0; k < result.size(); ++k) {
    if (result[k].size == 1) continue;
    Axis* first = nullptr;
    size_t first_input = 0;
    bool any = false, all = true, front = false;
    for (size_t i = 0; i < flow.node().inputs.size(); ++i) {
      if (!flow.given(i)) continue;
      std::vector<Axis>& axes = flow.in(i);
      const size_t offset = result.size() - axes.size();
      const bool spread = k < offset || axes[k - offset].size == 1;
      if (spread) {
        all = all && (i < values || flow.all_equal(i, 0));
        continue;
      }
      Axis& axis = axes[k - offset];
      if (zero == Zero::all || zero == Zero::any || (zero == Zero::first && i == values)) flow.mask(i, k - offset);
      if (first == nullptr) first = &axis, first_input = i;
      else flow.tie(*first, axis);
      if (i < values) continue;
      any = any || axis.zero;
      all = all && axis.zero;
      front = front || (i == values && axis.zero);
    }
    if (first == nullptr) continue;
    if (first->open) first = &flow.data(first_input, k - (result.size() - flow.in(first_input).size()));
    result[k].first = first->first;
    result[k].zero = (zero == Zero::all && all) || (zero == Zero::any && any) || (zero == Zero::first && front);
  }
}

void clip(ChannelFlow& flow) {
  broadcast(flow, Zero::all);
  const auto passes_zero = [&](size_t input, bool low) {
    if (!flow.given(input)) return true;
    if (!flow.constant(input)) return false;
    const Tensor& limit = *flow.graph().value(flow.node().inputs[input]).constant;
    if (limit.elements() != 1) return false;
    const double value = to_double(limit).front();
    return low ? value <= 0 : value >= 0;
  };
  const bool zero = passes_zero(1, true) && passes_zero(2, false);
  const std::vector<Axis>& x = flow.in(0);
  for (size_t k = 0; k < x.size(); ++k) flow.out()[k].zero = zero && x[k].zero;
}

void div(ChannelFlow& flow) {
  divide_by(flow, 1);
  broadcast(flow, Zero::first);
}

void singular(ChannelFlow& flow) {
  divide_by(flow, 0);
  broadcast(flow, Zero::never);
}

void pow(ChannelFlow& flow) {
  bool positive = false;
  if (flow.constant(1)) {
    const Tensor& exponent = *flow.graph().value(flow.node().inputs[1]).constant;
    positive = exponent.elements() == 1 && to_double(exponent).front() > 0;
  }
  if (!positive) divide_by(flow, 0);
  broadcast(flow, positive ? Zero::first : Zero::never);
}

void where(ChannelFlow& flow) { broadcast(flow, Zero::all, 1); }

void cast(ChannelFlow& flow) {
  for (size_t k = 0; k < flow.out().size(); ++k) flow.out()[k] = flow.data(0, k);
}

}  // namespace pare::channel_rules
