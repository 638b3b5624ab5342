// One walk over a graph that finds which channels belong together: the axes of every value, and what the rules of the
// operators (channel_rules.hpp) do with them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compress/channel_axes.hpp"
#include "src/graph/graph.hpp"

namespace pare {

// A node that keeps channels from being removed.
struct Barrier {
  std::string node;  // name; empty for the graph itself
  std::string op;
  std::string reason;
  int64_t channels = 0;  // that were free until here
};

// Which factor of an axis a Reshape leaves removable: of 768 = 12 x 64 the heads, or the channels of all heads.
enum class Factor { channels, heads };

// A Reshape that had to choose a factor: `axis` are the labels of the chosen one.
struct FactorSite {
  Axis axis;
  size_t candidates = 0;
};

class ChannelFlow {
 public:
  // `graph` has its sizes known as far as they can be. `choices`: which candidate the Reshape at that node takes,
  // 0 where it is not named.
  ChannelFlow(const Graph& graph, Factor factor, const std::map<size_t, size_t>& choices);
  void run();

  const Graph& graph() const { return graph_; }
  const Node& node() const { return *node_; }
  bool given(size_t input) const { return node_->input(input) != no_value; }
  bool has_output(size_t output) const { return output < node_->outputs.size() && node_->outputs[output] != no_value; }
  bool constant(size_t input) const { return given(input) && graph_.value(node_->inputs[input]).constant.has_value(); }
  // Whether the input is a constant whose elements all equal `number`.
  bool all_equal(size_t input, double number) const;

  std::vector<Axis>& axes(ValueId id);
  std::vector<Axis>& in(size_t input) { return axes(node_->inputs[input]); }
  std::vector<Axis>& out(size_t output = 0) { return axes(node_->outputs[output]); }

  // The input's axis, with channels of its own when it is an open axis of a constant.
  Axis& data(size_t input, size_t axis);
  // The channels of both axes are the same, index by index. Axes of size 1 are left alone.
  void tie(Axis& a, Axis& b);
  // All channels of the axis stay.
  void bar(Axis& axis, const char* reason);
  void bar_inputs(const char* reason);
  // The constant's slices of removed channels are zero along this axis in the masked model.
  void mask(size_t input, size_t axis);
  // An axis that reads `axis` at the given indices; -1 is an index that nothing can remove.
  Axis select(const Axis& axis, const std::vector<int64_t>& indices);
  // The nodes that read a value.
  std::vector<const Node*> readers(ValueId id);
  // Of `count` candidates in order of preference, the one to take here.
  size_t choose(size_t count);
  void chosen(const Axis& axis, size_t count);
  // Counts channels that this node froze.
  void note(int64_t channels, const char* reason);

  // After run(): by ValueId.
  std::vector<std::vector<Axis>> take_axes() { return std::move(axes_); }

  Factor factor() const { return factor_; }
  ChannelUnits units;
  std::vector<Barrier> barriers;
  std::map<size_t, FactorSite> sites;  // by node

 private:
  void visit(const Node& node);

  const Graph& graph_;
  Factor factor_;
  const std::map<size_t, size_t>& choices_;
  std::vector<std::vector<Axis>> axes_;
  std::vector<bool> seen_;
  std::vector<std::vector<const Node*>> readers_;  // made when first asked for
  const Node* node_ = nullptr;
  size_t index_ = 0;
};

}  // namespace pare
