// The importance of each unit of each channel group, from that of the weights.
#pragma once

#include <functional>
#include <optional>

#include "compress/channel_selection.hpp"

namespace pare {

// How a group's layers count for its units.
enum class GroupScore { sum, mean, max };

// The importance of each element of a constant, row-major; no value where it is unknown, then the constant does not
// count.
using ElementScores = std::function<std::optional<std::vector<double>>(ValueId)>;

// For each group: the importance of a unit's slices in every weight of rank 2 or more that makes or reads it, divided
// by the mean over the units of that weight, joined over the weights. Throws (exit 3) naming a tensor with a score that
// is not a number, (exit 1) when all scores of a group are zero.
GroupScores group_scores(const Graph& graph, const ChannelGroups& groups, const ElementScores& elements,
                         GroupScore how);

// |w| of the graph's constants.
ElementScores magnitude_scores(const Graph& graph);

// Numbers in [0, 1) by seed, a unit each.
GroupScores random_scores(const ChannelGroups& groups, uint64_t seed);

}  // namespace pare
