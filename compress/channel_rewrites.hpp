// What of a node changes when channels are removed from the values around it.
#pragma once

#include "compress/channel_shrink.hpp"

namespace pare {

// A node of the graph that is being shrunk, with the axes that its values had before.
struct ShrinkSite {
  Graph& graph;
  Node& node;
  const ChannelGroups& groups;
  const RemovedUnits& removed;
  const Graph& otherwise;     // the graph before, with other sizes where the model leaves them open
  std::vector<Node>& before;  // nodes to insert before this one

  const std::vector<Axis>& in(size_t input) const { return groups.axes[static_cast<size_t>(node.inputs[input])]; }
  const std::vector<Axis>& out(size_t output = 0) const {
    return groups.axes[static_cast<size_t>(node.outputs[output])];
  }
  int64_t kept(const Axis& axis) const { return kept_size(groups, axis, removed); }
  bool changed(const Axis& axis) const { return axis.labelled() && kept(axis) != axis.size; }
  bool keeps(const Axis& axis, int64_t index) const;
  // Channels before `index` that stay.
  int64_t kept_before(const Axis& axis, int64_t index) const;

  void set_constant(size_t input, Tensor tensor);
  // Replaces elements of a 1-D integer input; a computed one keeps its others as they are computed.
  void replace_elements(size_t input, const std::map<int64_t, int64_t>& elements);
};

// Changes the node; nothing for operators that follow their inputs by themselves.
void rewrite_node(ShrinkSite& site);

}  // namespace pare
