// Layers that ONNX Runtime's optimizer fused with what follows them, in terms of ONNX's operators.
#pragma once

#include "src/graph/graph.hpp"

namespace pare {

// FusedConv and FusedGemm of com.microsoft become Conv (plus the sum with its fourth input) or Gemm and the activation;
// FusedMatMul becomes MatMul between Transposes and a Mul where the ranks are known. What works on layers then sees
// them. Nodes with an activation that ONNX does not have stay as they are.
void expand_fused(Graph& graph);

}  // namespace pare
