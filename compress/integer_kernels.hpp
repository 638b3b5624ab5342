// How much of a model a runtime computes in integers.
#pragma once

#include "compress/qdq_placement.hpp"

namespace pare {

struct KernelCount {
  size_t integer = 0;
  size_t all = 0;
};

struct IntegerKernels {
  KernelCount convolutions;
  KernelCount products;  // of matrices
};

// Of a graph as ONNX Runtime has optimized it: QLinearConv, QGemm, MatMulIntegerToFloat and the like against Conv,
// Gemm, MatMul and their fused forms, in any domain.
IntegerKernels integer_kernels(const Graph& optimized);

// What is to be expected of a graph with Q/DQ at the placement's places: layers and matrix products whose inputs are
// quantized, and for Conv the output.
IntegerKernels integer_kernels(const Graph& graph, const QuantPlacement& placement);

}  // namespace pare
