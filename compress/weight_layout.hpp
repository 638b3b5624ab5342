// How a weight meets the values that it multiplies: which of its axes the products are summed over.
#pragma once

#include <string>
#include <vector>

#include "kernels/nm_mask.hpp"
#include "src/graph/graph.hpp"

namespace pare {

// A weight's row-major elements as [outer, length, inner], `length` being what its layer sums over (the reduction):
//   Conv [M, C/g, k...]             {M, C/g k..., 1}     in the order channel, kernel position
//   ConvTranspose [C, M/g, k...]    {g, C/g, M/g k...}
//   Gemm B, MatMul right operand    {batch, K, N}; {N, K, 1} for Gemm with transB
//   MatMul left operand [..., M, K] {batch M, K, 1}
//   LSTM, GRU, RNN W and R          {directions rows, columns, 1}
struct WeightLayout {
  kernels::AxisView view;
  // Independent matrices [groups, outputs, length]: groups of a Conv, batch of a MatMul.
  int64_t groups = 1;

  int64_t outputs() const { return view.outer * view.inner / groups; }
};

// A node that reads a weight: the weight is input `input`, and `data` is the value that it multiplies (the hidden state
// of recurrent layers is none: no_value).
struct WeightUse {
  const Node* node = nullptr;
  size_t input = 0;
  ValueId data = no_value;
};

// Every node that multiplies something by the weight, in the graph's order.
std::vector<WeightUse> weight_uses(const Graph& graph, ValueId weight);

// Whether what the weight multiplies can be watched while the graph runs: every use has an input that is computed, and
// none is in a subgraph (of If, Loop, Scan).
bool has_visible_inputs(const Graph& graph, ValueId weight);

// The layout for one use. `shape` is the weight's, of rank 2 or more.
WeightLayout weight_layout(const WeightUse& use, const Shape& shape);

// The layout that all uses agree on, those in subgraphs (of If, Loop, Scan) too. Throws (exit 3) naming the weight and
// two nodes when a shared weight is read along different axes.
WeightLayout weight_layout(const Graph& graph, ValueId weight);

}  // namespace pare
