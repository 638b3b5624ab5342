// Dynamic quantization: matrix products with integer weights, whose input is quantized at run time, in the form that
// ONNX Runtime computes as one (DynamicQuantizeMatMul).
#pragma once

#include "compress/weight_only.hpp"

namespace pare {

struct DynamicConfig {
  int bits = 8;                                             // 7 for machines whose 16-bit sums would saturate
  bool per_channel = true;                                  // a scale a column
  std::function<bool(const std::string& weight)> selected;  // empty: all
};

// Changes `graph`: MatMul and Gemm (without transA) with a constant float32 matrix of their own become
// DynamicQuantizeLinear, MatMulInteger, one Mul with (input scale) * (weight scale), and Add where there is a bias.
// Products with the same input share its DynamicQuantizeLinear. Embeddings become int8 as in weight-only quantization.
// Throws (exit 3) naming a weight with NaN or infinity. check_weights() takes the result.
WeightOnlyResult quantize_dynamically(Graph& graph, const DynamicConfig& config);

}  // namespace pare
