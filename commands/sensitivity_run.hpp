// How much the outputs change when one weight alone is pruned or quantized.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "commands/runner_run.hpp"

namespace pare {

// One change of one weight.
struct WeightChange {
  std::string weight;
  std::string op;  // of the node that reads it
  Shape shape;
  std::string change;  // "pruned 50 %", "int8", "int4"
  int bits = 32;
  double sparsity = 0;  // of the weight after the change
  Graph graph;          // with the change
};

// Calls `measure` for each weight of the graph (see roles_of) and each change of `kind`: "prune" sets the half with the
// smallest magnitudes to zero (ties: the lower index stays), "quantize" rounds to int8 and to int4, symmetric, one
// scale an output channel.
void for_each_weight_change(const Graph& graph, const std::string& kind,
                            const std::function<void(const WeightChange&)>& measure);

}  // namespace pare
