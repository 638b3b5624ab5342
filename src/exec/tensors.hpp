// Between the graph's constants and ATen's tensors.
#pragma once

#include "src/exec/aten.hpp"
#include "src/graph/graph.hpp"

namespace pare {

// ATen's type for an ONNX element type: 4-bit integers are held one a byte, sign-extended for int4. Throws (exit 3) for
// types that ATen does not have.
at::ScalarType scalar_type_of(DType dtype);

// The other way round.
DType dtype_of(at::ScalarType type);

// Whether two elements share a byte in a file.
bool is_packed(DType dtype);

// A copy on the CPU. Types that ATen does not have throw (exit 3).
at::Tensor to_aten(const Tensor& tensor);

// The same, to be read only: shares the tensor's memory where that is aligned as ATen's own, and keeps it alive.
at::Tensor shared_aten(const Tensor& tensor);

// Moves constants whose bytes lie in the model's file at any address to where shared_aten() shares them: one copy for
// all executors of this graph and of those made from it.
void align_constants(Graph& graph);

// The tensor's values, row-major on the CPU, converted to `dtype`.
Tensor from_aten(const at::Tensor& tensor, DType dtype);

}  // namespace pare
