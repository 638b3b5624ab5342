// Static quantization of a graph: what is done to it before, and its weights as integers, once the codes of the
// activations are known.
#pragma once

#include <string>
#include <vector>

#include "compress/qdq_insert.hpp"

namespace pare {

// The graph in the form that quantizes well: batch normalizations, constants that are multiplied or added
// behind layers, zero padding and Gemm's factors folded, means as pools, shapes inferred. A folded weight keeps its
// name.
Graph prepare_for_quantization(const Graph& graph);

struct StaticConfig {
  int weight_bits = 8;  // 2 to 8; the codes are symmetric
  int outer_bits = 0;   // of the first and last layer; 0: as the others
  bool per_channel = true;
  ScaleSearch search = ScaleSearch::absmax;
  bool integer_bias = true;
  bool int4 = false;  // weights of at most 4 bits as INT4 (opset 21), else as int8, which runtimes fuse
};

// The placement's weights as integers, by value: with the codes of `rounded` where its scales are not below those that
// a bias of these activations needs, the others rounded to nearest. Throws (exit 3) naming a weight or bias that is not
// finite.
std::map<ValueId, EncodedWeight> encode_weights(const Graph& graph, const QuantPlacement& placement,
                                                const std::map<ValueId, ActivationCodes>& activations,
                                                const StaticConfig& config,
                                                const std::map<ValueId, EncodedWeight>& rounded = {});

struct StaticLayer {
  std::string name;  // of the node
  std::string op;
  Shape shape;  // of the weight
  int bits = 0;
  double snr_db = 0;  // of the weight
  ValueId weight = no_value;
};

// Changes `graph`: Q/DQ at the placement's places, weights and biases as integers. Throws (exit 3) naming a weight or
// bias that is not finite.
std::vector<StaticLayer> quantize_statically(Graph& graph, const QuantPlacement& placement,
                                             const std::map<ValueId, ActivationCodes>& activations,
                                             const StaticConfig& config,
                                             const std::map<ValueId, EncodedWeight>& rounded = {});

// Labels of the nodes that multiply or convolve in float although `placement` was asked for: "Conv node 'x'".
std::vector<std::string> float_products(const Graph& graph, const QuantPlacement& placement);

// How many of the placement's layers and matrix products compute in integers in ONNX Runtime: those whose inputs are
// quantized, and for Conv the output.
size_t integer_products(const Graph& graph, const QuantPlacement& placement);

}  // namespace pare
