// The implementations of the operators in src/graph/op_list.def. Each is a function that reads the node's attributes
// and constants once and returns the step that runs it; ops_*.cpp hold them by kind.
#pragma once

#include <memory>

#include "src/exec/aten.hpp"
#include "src/exec/packed_weights.hpp"
#include "src/graph/graph.hpp"

namespace pare {

// One execution of a node.
struct Call {
  std::span<const at::Tensor> in;  // undefined where an optional input is left out
  std::span<at::Tensor> out;
  bool training;  // BatchNormalization uses and updates batch statistics

  // The input; undefined when it is left out.
  at::Tensor optional(size_t index) const { return index < in.size() ? in[index] : at::Tensor(); }
  // Whether the node has that output.
  bool wants(size_t index) const { return index < out.size(); }
};

using Step = std::function<void(const Call&)>;

// What an operator sees of the node that it is made for.
struct Site {
  const Graph& graph;
  const Node& node;
  bool fixed_weights = false;  // constants are the same tensors in every run

  // The constant at an input, or null when it is left out or computed.
  const Tensor* constant(size_t input) const;
  // What packs the weight at an input, where it is a constant that stays the same; else null.
  std::shared_ptr<PackedWeight> packed(size_t input) const;
  // Its integers; nullopt when it is left out or computed.
  std::optional<std::vector<int64_t>> integers(size_t input) const;
};

// The integers of a run-time input, as a list.
std::vector<int64_t> integers_of(const at::Tensor& tensor);

// The step that runs the node. Throws (exit 3) naming the node when its form is not supported.
Step make_step(const Site& site);

namespace ops {

#define PARE_OP(domain, op, function, gradient, rule) Step function(const Site& site);
#include "src/graph/op_list.def"
#undef PARE_OP

// The step of an activation that overwrites its input; null where the operator has none.
Step in_place(const Node& node);

}  // namespace ops
}  // namespace pare
