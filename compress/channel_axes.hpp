// Channels as union-find units. A channel is an index on an axis of a value; channels that can only be removed together
// share a unit. An axis is a span of labels, one unit an index, so that axes which pass through a node unchanged share
// their span and cost nothing.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace pare {

using Unit = int32_t;
// The unit of everything that has to stay.
inline constexpr Unit frozen_unit = 0;

struct Axis {
  int64_t size = 1;    // -1: unknown
  int32_t first = -1;  // position of the first label; -1: no channels (batch, space, computed sizes)
  bool open = false;   // of a constant that nothing has read along this axis yet: it takes any labels
  // Computed values: where a removed channel's weights are zero, the values are zero here. Constants: the slices of
  // removed channels are zero in the masked model.
  bool zero = false;
  bool divisor = false;  // of a constant that something divides by: its slices are never zero
  bool weak = false;     // made by Expand or ConstantOfShape: no weights stand behind it

  bool labelled() const { return first >= 0; }
};

class ChannelUnits {
 public:
  ChannelUnits();

  // An axis of `size` new units.
  Axis fresh(int64_t size, bool zero);
  // An axis of the given units.
  Axis axis_of(std::span<const Unit> labels, bool zero);
  // The unit of each index; only of labelled axes. Valid until the next axis is made.
  std::span<const Unit> labels(const Axis& axis) const {
    return {labels_.data() + axis.first, static_cast<size_t>(axis.size)};
  }

  // The representative: equal for units that are removed together.
  Unit find(Unit unit) const;
  void unite(Unit a, Unit b);
  // Unites two labelled axes of one size, index by index; returns how many free channels met frozen ones.
  int64_t unite(const Axis& a, const Axis& b);
  bool frozen(Unit unit) const { return find(unit) == frozen_unit; }
  // Keeps all of the axis' channels; returns how many were free before.
  int64_t freeze(const Axis& axis);
  int64_t count_free(const Axis& axis) const;

  // Units that stand for attention heads.
  void mark_heads(const Axis& axis);
  bool is_head(Unit unit) const { return head_[static_cast<size_t>(find(unit))]; }

  size_t size() const { return parent_.size(); }
  size_t label_count() const { return labels_.size(); }

 private:
  std::vector<Unit> labels_;
  mutable std::vector<Unit> parent_;
  std::vector<int32_t> weight_;  // units below a representative
  std::vector<bool> head_;
};

}  // namespace pare
