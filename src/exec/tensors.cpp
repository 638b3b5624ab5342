#include "src/exec/tensors.hpp"

#include <cstring>

#include <ATen/ops/_to_copy.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include "kernels/quantize.hpp"
#include "src/core/error.hpp"

namespace pare {

namespace {

constexpr std::pair<DType, at::ScalarType> types[] = {
    {DType::float32, at::kFloat},
    {DType::float64, at::kDouble},
    {DType::float16, at::kHalf},
    {DType::bfloat16, at::kBFloat16},
    {DType::int64, at::kLong},
    {DType::int32, at::kInt},
    {DType::int16, at::kShort},
    {DType::int8, at::kChar},
    {DType::uint8, at::kByte},
    {DType::boolean, at::kBool},
    {DType::uint16, at::kUInt16},
    {DType::uint32, at::kUInt32},
    {DType::uint64, at::kUInt64},
    {DType::float8e4m3fn, at::kFloat8_e4m3fn},
    {DType::float8e4m3fnuz, at::kFloat8_e4m3fnuz},
    {DType::float8e5m2, at::kFloat8_e5m2},
    {DType::float8e5m2fnuz, at::kFloat8_e5m2fnuz},
    // One a byte; after the bytes, so that dtype_of gives those.
    {DType::int4, at::kChar},
    {DType::uint4, at::kByte},
};

bool is_aligned(const Bytes& bytes) {
  constexpr uintptr_t alignment = 64;
  return reinterpret_cast<uintptr_t>(bytes.data()) % alignment == 0;
}

}  // namespace

at::ScalarType scalar_type_of(DType dtype) {
  for (const auto& [onnx, aten] : types)
    if (onnx == dtype) return aten;
  fail_input("element type {} cannot be executed", dtype_name(dtype));
}

DType dtype_of(at::ScalarType type) {
  for (const auto& [onnx, aten] : types)
    if (aten == type) return onnx;
  fail_run("ATen's type {} has no counterpart in ONNX", c10::toString(type));
}

bool is_packed(DType dtype) { return dtype == DType::int4 || dtype == DType::uint4; }

at::Tensor to_aten(const Tensor& tensor) {
  at::Tensor result = at::empty(tensor.shape, scalar_type_of(tensor.dtype));
  if (static_cast<size_t>(tensor.byte_size()) != tensor.data.size())
    fail_input("tensor of {} bytes holds {}", tensor.byte_size(), tensor.data.size());
  if (is_packed(tensor.dtype)) {
    const auto type = tensor.dtype == DType::int4 ? kernels::IntegerType::int4 : kernels::IntegerType::uint4;
    kernels::unpack_nibbles({}, reinterpret_cast<const uint8_t*>(tensor.data.data()), result.numel(), type,
                            static_cast<uint8_t*>(result.mutable_data_ptr()));
  } else if (tensor.data.size() != 0) std::memcpy(result.mutable_data_ptr(), tensor.data.data(), tensor.data.size());
  return result;
}

at::Tensor shared_aten(const Tensor& tensor) {
  if (is_packed(tensor.dtype) || tensor.data.size() == 0 || !is_aligned(tensor.data) ||
      static_cast<size_t>(tensor.byte_size()) != tensor.data.size())
    return to_aten(tensor);
  return at::from_blob(
      const_cast<std::byte*>(tensor.data.data()), tensor.shape, [owner = tensor.data](void*) {},
      scalar_type_of(tensor.dtype));
}

void align_constants(Graph& graph) {
  for (Value& value : graph.values) {
    if (!value.constant || is_aligned(value.constant->data)) continue;
    const std::span<const std::byte> bytes = value.constant->data.span();
    std::byte* target = nullptr;
    Bytes aligned = Bytes::allocate(bytes.size(), &target);
    std::copy(bytes.begin(), bytes.end(), target);
    value.constant->data = std::move(aligned);
  }
}

Tensor from_aten(const at::Tensor& tensor, DType dtype) {
  const at::Tensor host = tensor.detach().to(at::kCPU, scalar_type_of(dtype)).contiguous();
  Tensor result{dtype, host.sizes().vec(), {}};
  std::byte* target = nullptr;
  result.data = Bytes::allocate(static_cast<size_t>(result.byte_size()), &target);
  if (is_packed(dtype))
    kernels::pack_nibbles({}, static_cast<const uint8_t*>(host.const_data_ptr()), host.numel(),
                          reinterpret_cast<uint8_t*>(target));
  else if (host.nbytes() != 0) std::memcpy(target, host.const_data_ptr(), host.nbytes());
  return result;
}

}  // namespace pare
