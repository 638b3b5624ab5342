// Weight-only quantization: the weights become integers behind a DequantizeLinear, in the forms that ONNX Runtime turns
// into integer products (MatMulNBits), and embeddings are dequantized behind their Gather.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "compress/weight_encoding.hpp"
#include "src/graph/graph.hpp"

namespace pare {

// A weight that is about to become integers: the node that multiplies with it, its values in the form that is written
// ([K,N] for a matrix product) and the groups that share a scale.
struct WeightToRound {
  const Node& node;
  std::string name;
  const std::vector<float>& values;
  const ScaleGroups& groups;
  kernels::CodeRange range;
};
using WeightRounding = std::function<RoundedWeight(const WeightToRound&)>;

struct WeightOnlyConfig {
  int bits = 8;             // 2, 3, 4 or 8; embeddings take 8
  Granularity granularity;  // blocks are along K of matrix products; convolutions and embeddings take channels then
  ScaleSearch search = ScaleSearch::mse;
  std::function<bool(const std::string& weight)> selected;  // empty: all
  std::function<int(const std::string& weight)> bits_of;    // empty: `bits` for all
  WeightRounding rounding;                                  // empty: to nearest
};

struct QuantizedWeight {
  std::string name;  // of the float tensor
  std::string node;  // of the first node that reads it
  std::string op;
  std::string codes;  // names of the written tensors
  std::string scale;
  Shape shape;  // as written
  int bits = 0;
  double snr_db = 0;
  int64_t elements = 0;
  int64_t stored_bits = 0;  // codes in `bits` and scales
  EncodedWeight encoded;
  std::optional<OutputErrors> errors;  // of WeightOnlyConfig::rounding
};

struct KeptWeight {
  std::string name;
  std::string reason;
};

struct WeightOnlyResult {
  std::vector<QuantizedWeight> weights;
  std::vector<KeptWeight> kept;  // selected weights that stay float
};

// Changes `graph`. A weight stays float when it is shared by nodes that need different forms, when nothing would be
// saved, or when its type is not float32. Throws (exit 3) naming a weight with NaN or infinity.
WeightOnlyResult quantize_weights_only(Graph& graph, const WeightOnlyConfig& config);

// Checks that the graph holds exactly these codes and scales, and that something reads them. Throws (exit 1) naming the
// first that differs.
void check_weights(const Graph& graph, const WeightOnlyResult& result);

}  // namespace pare
