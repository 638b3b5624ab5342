// A graph without some of its channels: really smaller, or with zeros in their place.
#pragma once

#include "compress/channel_groups.hpp"

namespace pare {

// By representative unit: true where it is removed.
using RemovedUnits = std::vector<bool>;

// How many channels of an axis stay.
int64_t kept_size(const ChannelGroups& groups, const Axis& axis, const RemovedUnits& removed);

// The graph without the removed units: constants are sliced, and what nodes say of sizes follows (targets of Reshape
// and Expand, parts of Split and Slice, indices of Gather, pads, groups of convolutions, hidden sizes). `groups` is of
// this graph. The result is verified and has its shapes inferred. Throws (exit 1) when it would not be a valid graph.
Graph shrink(const Graph& graph, const ChannelGroups& groups, const RemovedUnits& removed);

// The graph with zeros in the slices of removed channels, of the weights that make them and of those that read them: it
// computes what shrink() computes.
Graph mask_channels(const Graph& graph, const ChannelGroups& groups, const RemovedUnits& removed);

}  // namespace pare
