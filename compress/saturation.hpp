// Which part of a value's range its readers can tell apart: HardSwish, HardSigmoid, Clip and Relu, as operators or as
// the sums, clips and products that exporters write for them.
#pragma once

#include <limits>
#include <set>

#include "src/graph/graph.hpp"

namespace pare {

// Beyond these bounds every reader gives what it gives at the bound.
struct ValueLimits {
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};

class Saturation {
 public:
  // `graph` must outlive it, with its nodes where they are.
  explicit Saturation(const Graph& graph);

  // No bounds for outputs of the graph, and for values that a reader without saturation sees.
  ValueLimits limits(ValueId value) const;

  // Sums and products inside of a HardSwish or HardSigmoid that is written as x * Clip(x + 3, 0, 6) / 6 and the like:
  // one function with one rounding of its input, as if it were the operator.
  const std::set<const Node*>& inside() const { return inside_; }

 private:
  const Node* producer(ValueId id) const { return id == no_value ? nullptr : producers_[static_cast<size_t>(id)]; }
  const Node* only_reader(ValueId id) const;
  // The bounds of x where Clip(x + c) saturates, for the Add or the Clip's result; false when it is another pattern.
  bool shifted_clip(const Node& sum, ValueId x, ValueLimits& limits) const;
  // Bounds below which gate(x) is zero, where `gate` is computed from x alone; false when it is another pattern.
  bool gate(ValueId gate, ValueId x, float& low, const Node** sum) const;
  ValueLimits of_reader(const Node& reader, ValueId x) const;

  const Graph& graph_;
  std::vector<std::vector<const Node*>> consumers_;
  std::vector<const Node*> producers_;
  std::set<const Node*> inside_;
};

}  // namespace pare
