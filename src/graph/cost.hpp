// What a model costs: parameters, nonzeros and multiply-accumulates, from the graph alone.
#pragma once

#include "src/graph/graph.hpp"

namespace pare {

struct NodeCost {
  const Graph* graph = nullptr;  // that the node is in: the costed graph, or a subgraph
  const Node* node = nullptr;
  int64_t parameters = 0;  // elements of the node's parameters
  // Multiply-accumulates of convolutions, matrix products, recurrent layers and attention, their forms on integers and
  // those of com.microsoft included; -1 when a size is unknown, 0 for other operators.
  int64_t macs = -1;
};

struct GraphCost {
  int64_t parameters = 0;       // elements of all parameters; one that is shared counts once
  int64_t nonzero = 0;          // of these
  int64_t weights = 0;          // elements of parameters of rank >= 2: what pruning works on
  int64_t weights_nonzero = 0;  // of these
  int64_t macs = 0;  // sum over nodes with known sizes, one sample; of an If the larger branch, of loops one turn
  int64_t activations = 0;      // elements of all node outputs with known sizes, one sample
  std::vector<NodeCost> nodes;  // in graph order, those of subgraphs behind theirs; pointers into the graph

  // Share of zeros among the weights; 0 without weights.
  double sparsity() const {
    return weights == 0 ? 0 : 1.0 - static_cast<double>(weights_nonzero) / static_cast<double>(weights);
  }
};

// By ValueId, which constants are parameters: floats, but not the scales of quantized values; and integers that are
// dequantized or multiplied, behind a Gather too.
std::vector<bool> parameters_of(const Graph& graph);

// Costs at batch 1: an unknown first dimension of a graph input counts as 1.
GraphCost graph_cost(const Graph& graph);

}  // namespace pare
