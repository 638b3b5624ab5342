// Which channels of a model can only be removed together: connected components over the channels of all constants and
// values, in groups of interchangeable ones (DepGraph, Fang et al. 2023, on ONNX graphs and with factors of axes).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "compress/channel_flow.hpp"

namespace pare {

// What a constant's axis is to a group.
enum class MemberSide {
  producer,  // the output channels of a layer's weights or an embedding
  consumer,  // the input channels of a layer's weights
  follower,  // biases, scales, statistics and other constants of a number a channel
};

struct GroupMember {
  ValueId value = no_value;
  size_t axis = 0;
  int64_t width = 0;  // indices of the axis that are the group's
  MemberSide side = MemberSide::follower;
  std::string node;  // the first that reads it
};

struct ChannelGroup {
  std::vector<Unit> units;    // in the order of the channels they stand for
  int64_t width_of_unit = 1;  // the fewest indices that a unit has on any axis; heads: of layers' weights
  bool heads = false;         // units are attention heads
  std::vector<GroupMember> members;

  int64_t size() const { return static_cast<int64_t>(units.size()); }
};

struct ChannelGroups {
  ChannelUnits units;
  std::vector<std::vector<Axis>> axes;  // by ValueId; empty where nothing is known
  std::vector<ChannelGroup> groups;     // in the order of the graph
  std::vector<int32_t> group_of;        // by representative unit; -1: stays
  std::vector<Barrier> barriers;
  Graph sized;  // the graph with the sizes that the analysis took

  // The group of a label; -1: stays.
  int32_t group(Unit label) const { return group_of[static_cast<size_t>(units.find(label))]; }
};

// The graph in which groups are looked for and channels removed: what follows from sizes is folded, so that a number
// computed from the size of an axis (the root of the width of a head) stays what it is.
Graph with_folded_sizes(const Graph& graph);

// Taken where a model leaves sizes of its inputs open.
struct AssumedSizes {
  int64_t batch = 1;
  int64_t other = 64;
};

// The graph with every unknown size of its inputs set: those of `shapes` by input name, else the assumed ones; shapes
// inferred.
Graph with_sizes(const Graph& graph, const std::map<std::string, Shape>& shapes, AssumedSizes assumed = {});

// The groups of the graph's constants. `factor` says what a Reshape that splits an axis leaves removable.
// Deterministic.
ChannelGroups channel_groups(const Graph& graph, Factor factor, const std::map<std::string, Shape>& shapes = {});

}  // namespace pare
