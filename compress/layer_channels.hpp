// Factors that move between layers: the channels of a layer's outputs and inputs multiplied in its weight and bias.
#pragma once

#include <optional>
#include <vector>

#include "src/graph/graph.hpp"

namespace pare {

// A Conv, Gemm or MatMul with a float32 weight that it alone reads, as its second input.
struct LayerChannels {
  size_t node = 0;            // index in Graph::nodes
  ValueId bias = no_value;    // constant of `outputs` numbers, read by this layer alone: of the node, or of the Add
                              // behind a MatMul
  ValueId result = no_value;  // with the bias
  int64_t outputs = 0;
  int64_t inputs = 0;
  bool depthwise = false;  // every output is made of one input
};

// The layer at that node; nullopt when it is none, or has a bias that cannot change with it.
std::optional<LayerChannels> layer_channels(const Graph& graph, const std::vector<std::vector<const Node*>>& consumers,
                                            size_t node);

// The largest magnitudes of the weight in each output channel.
std::vector<double> output_absmax(const Graph& graph, const LayerChannels& layer);
// The largest magnitudes of the weight in each input channel.
std::vector<double> input_absmax(const Graph& graph, const LayerChannels& layer);

// Multiplies weight and bias, so that output channel c becomes factors[c] times as large.
void scale_outputs(Graph& graph, const LayerChannels& layer, const std::vector<double>& factors);
// Multiplies the weight, so that input channel c counts factors[c] times. With fewer factors than inputs each is for
// as many neighbours (channels that were flattened with their positions).
void scale_inputs(Graph& graph, const LayerChannels& layer, const std::vector<double>& factors);

}  // namespace pare
