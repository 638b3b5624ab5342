// Between the graph's constants and ATen's tensors.
#pragma once

#include "src/exec/aten.hpp"
#include "src/graph/tensor.hpp"

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

// The tensor's values, row-major on the CPU, converted to `dtype`.
Tensor from_aten(const at::Tensor& tensor, DType dtype);

}  // namespace pare
