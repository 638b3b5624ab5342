// Writes a placement into the graph: QuantizeLinear and DequantizeLinear at its places, weights and biases as integers.
// What `pare quantize` chose and what `pare qat` has learned both end here.
#pragma once

#include <map>
#include <string>

#include "compress/observers.hpp"
#include "compress/qdq_placement.hpp"
#include "compress/weight_encoding.hpp"

namespace pare {

struct QuantizedValues {
  // By the place's value; a place that is the same as another needs none of its own.
  std::map<ValueId, ActivationCodes> activations;
  // By the weight's value, in the graph's orientation; one scale for the tensor, or one a channel of the place's axis.
  std::map<ValueId, EncodedWeight> weights;
  // Biases as int32 with the scale (input scale) * (weight scale); float where false (TensorRT).
  bool integer_bias = true;
  // Weights whose codes fit it as INT4, else all as int8.
  bool int4 = false;
};

// Changes `graph`. Every reader of a place's value reads the dequantized one, graph outputs too; names of inputs and
// outputs stay. Activations below 8 bits get a Clip of their codes between both nodes (as Brevitas' QCDQ). Throws
// (exit 1) when a place has no values.
void insert_qdq(Graph& graph, const QuantPlacement& placement, const QuantizedValues& values);

// The least scale of each channel of the layer's weight at which its bias fits int32 for that input scale; zeros where
// there is no bias.
std::vector<float> least_weight_scales(const Graph& graph, const QuantLayer& layer, float input_scale);

}  // namespace pare
