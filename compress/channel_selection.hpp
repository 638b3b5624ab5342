// Which channels go: the least important ones of all groups, until a target is met and no wider choice meets it.
#pragma once

#include <functional>
#include <set>

#include "compress/channel_cost.hpp"
#include "compress/channel_shrink.hpp"

namespace pare {

struct ChannelLimits {
  int64_t round_to = 8;          // widths become multiples of it, or stay
  int64_t min_keep = 8;          // indices of an axis that a group keeps at least
  std::string scope = "global";  // global: units of all groups are ranked together; layer: the same share of each
};

// Importance of each unit of each group: larger stays.
using GroupScores = std::vector<std::vector<double>>;

// What a choice of widths costs, the smaller the better; it never rises when a width falls.
using WidthCost = std::function<double(const Widths&)>;

struct ChannelChoice {
  Widths widths;
  double cost = 0;
  bool reached = false;
};

// The widths a group may have, from its size down: multiples of what rounds it, not below the least.
std::vector<int64_t> legal_widths(const ChannelGroup& group, const ChannelLimits& limits);

// Removes units in the order of their scores, whole steps of legal widths at a time, until cost(widths) <= target; then
// takes back what is not needed, so that no group can be wider. Not reached: the narrowest. `selected`: groups that may
// change; `present`: the widths to begin with, where some units went before (their scores are the lowest). Ties break
// by group and width: deterministic.
ChannelChoice choose_widths(const ChannelGroups& groups, const GroupScores& scores, const std::vector<bool>& selected,
                            const ChannelLimits& limits, const WidthCost& cost, double target,
                            const Widths* present = nullptr);

// The units that go: of each group those with the lowest scores, ties by index, until its width is left.
RemovedUnits removed_units(const ChannelGroups& groups, const GroupScores& scores, const Widths& widths);

// The groups that --include and --exclude leave: globs over the names of their tensors and nodes. Throws (exit 2)
// naming a glob that matches no group.
std::vector<bool> select_groups(const Graph& graph, const ChannelGroups& groups,
                                const std::vector<std::string>& include, const std::vector<std::string>& exclude);

}  // namespace pare
