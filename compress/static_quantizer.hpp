// Static quantization of a graph: what is done to it before, and its weights as integers, once the codes of the
// activations are known.
#pragma once

#include <string>
#include <vector>

#include "compress/qdq_insert.hpp"

namespace pare {

// The graph in the form that quantizes well: batch normalizations, zero padding and Gemm's factors folded, means as
// pools, shapes inferred. A folded weight keeps its name.
Graph prepare_for_quantization(const Graph& graph);

struct StaticConfig {
  int weight_bits = 8;  // 2 to 8; the codes are symmetric
  bool per_channel = true;
  ScaleSearch search = ScaleSearch::absmax;
  bool integer_bias = true;
};

struct StaticLayer {
  std::string name;  // of the node
  std::string op;
  Shape shape;  // of the weight
  int bits = 0;
  double snr_db = 0;  // of the weight
};

// Changes `graph`: Q/DQ at the placement's places, weights and biases as integers. Throws (exit 3) naming a weight or
// bias that is not finite.
std::vector<StaticLayer> quantize_statically(Graph& graph, const QuantPlacement& placement,
                                             const std::map<ValueId, ActivationCodes>& activations,
                                             const StaticConfig& config);

// Labels of the nodes that multiply or convolve in float although `placement` was asked for: "Conv node 'x'".
std::vector<std::string> float_products(const Graph& graph, const QuantPlacement& placement);

}  // namespace pare
