// Between the graph's constants and ATen's tensors.
#pragma once

#include "src/exec/aten.hpp"
#include "src/graph/tensor.hpp"

namespace pare {

// ATen's type for an ONNX element type. Throws (exit 3) for types that ATen does not have.
at::ScalarType scalar_type_of(DType dtype);

// The other way round.
DType dtype_of(at::ScalarType type);

// A copy on the CPU. Sub-byte and string types throw (exit 3).
at::Tensor to_aten(const Tensor& tensor);

// The tensor's values, row-major on the CPU, converted to `dtype`.
Tensor from_aten(const at::Tensor& tensor, DType dtype);

}  // namespace pare
