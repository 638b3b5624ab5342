#include "compress/channel_axes.hpp"

#include <numeric>
#include <utility>

namespace pare {

ChannelUnits::ChannelUnits() : parent_{frozen_unit}, weight_{1}, head_{false} {}

Axis ChannelUnits::fresh(int64_t size, bool zero) {
  const Axis axis{size, static_cast<int32_t>(labels_.size()), false, zero};
  const auto next = static_cast<Unit>(parent_.size());
  const auto count = static_cast<size_t>(size);
  labels_.resize(labels_.size() + count);
  parent_.resize(parent_.size() + count);
  std::iota(labels_.end() - size, labels_.end(), next);
  std::iota(parent_.end() - size, parent_.end(), next);
  weight_.resize(parent_.size(), 1);
  head_.resize(parent_.size(), false);
  return axis;
}

Axis ChannelUnits::axis_of(std::span<const Unit> labels, bool zero) {
  const Axis axis{static_cast<int64_t>(labels.size()), static_cast<int32_t>(labels_.size()), false, zero};
  labels_.insert(labels_.end(), labels.begin(), labels.end());
  return axis;
}

Unit ChannelUnits::find(Unit unit) const {
  while (parent_[static_cast<size_t>(unit)] != unit) {
    Unit& up = parent_[static_cast<size_t>(unit)];
    up = parent_[static_cast<size_t>(up)];
    unit = up;
  }
  return unit;
}

void ChannelUnits::unite(Unit a, Unit b) {
  a = find(a);
  b = find(b);
  if (a == b) return;
  // The frozen unit stays its own representative.
  const auto rank = [&](Unit unit) { return unit == frozen_unit ? INT32_MAX : weight_[static_cast<size_t>(unit)]; };
  if (rank(a) < rank(b)) std::swap(a, b);
  parent_[static_cast<size_t>(b)] = a;
  weight_[static_cast<size_t>(a)] += weight_[static_cast<size_t>(b)];
  if (head_[static_cast<size_t>(b)]) head_[static_cast<size_t>(a)] = true;
}

int64_t ChannelUnits::unite(const Axis& a, const Axis& b) {
  if (a.first == b.first) return 0;
  int64_t frozen = 0;
  for (int64_t i = 0; i < a.size; ++i) {
    const Unit left = find(labels_[static_cast<size_t>(a.first + i)]);
    const Unit right = find(labels_[static_cast<size_t>(b.first + i)]);
    if (left == right) continue;
    if (left == frozen_unit || right == frozen_unit) ++frozen;
    unite(left, right);
  }
  return frozen;
}

int64_t ChannelUnits::freeze(const Axis& axis) {
  const int64_t free = count_free(axis);
  if (free > 0)
    for (const Unit unit : labels(axis)) unite(unit, frozen_unit);
  return free;
}

int64_t ChannelUnits::count_free(const Axis& axis) const {
  int64_t free = 0;
  for (const Unit unit : labels(axis)) free += frozen(unit) ? 0 : 1;
  return free;
}

void ChannelUnits::mark_heads(const Axis& axis) {
  for (const Unit unit : labels(axis)) head_[static_cast<size_t>(find(unit))] = true;
}

}  // namespace pare
