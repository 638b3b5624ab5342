#include "src/exec/tensors.hpp"

#include <cstring>

#include <ATen/ops/_to_copy.h>
#include <ATen/ops/empty.h>

#include "src/core/error.hpp"

namespace pare {

at::ScalarType scalar_type_of(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return at::kFloat;
    case DType::float64:
      return at::kDouble;
    case DType::float16:
      return at::kHalf;
    case DType::bfloat16:
      return at::kBFloat16;
    case DType::int64:
      return at::kLong;
    case DType::int32:
      return at::kInt;
    case DType::int16:
      return at::kShort;
    case DType::int8:
      return at::kChar;
    case DType::uint8:
      return at::kByte;
    case DType::boolean:
      return at::kBool;
    default:
      fail_input("element type {} cannot be executed", dtype_name(dtype));
  }
}

at::Tensor to_aten(const Tensor& tensor) {
  at::Tensor result = at::empty(tensor.shape, scalar_type_of(tensor.dtype));
  if (static_cast<size_t>(tensor.byte_size()) != tensor.data.size())
    fail_input("tensor of {} bytes holds {}", tensor.byte_size(), tensor.data.size());
  if (tensor.data.size() != 0) std::memcpy(result.mutable_data_ptr(), tensor.data.data(), tensor.data.size());
  return result;
}

Tensor from_aten(const at::Tensor& tensor, DType dtype) {
  const at::Tensor host = tensor.detach().to(at::kCPU, scalar_type_of(dtype)).contiguous();
  Tensor result{dtype, host.sizes().vec(), {}};
  std::byte* target = nullptr;
  result.data = Bytes::allocate(host.nbytes(), &target);
  if (host.nbytes() != 0) std::memcpy(target, host.const_data_ptr(), host.nbytes());
  return result;
}

}  // namespace pare
