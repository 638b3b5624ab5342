#include "src/graph/tensor.hpp"

#include <array>
#include <cstring>
#include <limits>

#include "src/core/error.hpp"
#include "src/core/half.hpp"

namespace pare {
namespace {

struct DTypeRow {
  const char* name;
  int bits;
};

// Indexed by DType.
constexpr std::array<DTypeRow, 24> dtype_rows = {{
    {"undefined", 0},      {"float32", 32},  {"uint8", 8},        {"int8", 8},           {"uint16", 16},
    {"int16", 16},         {"int32", 32},    {"int64", 64},       {"string", 0},         {"bool", 8},
    {"float16", 16},       {"float64", 64},  {"uint32", 32},      {"uint64", 64},        {"complex64", 64},
    {"complex128", 128},   {"bfloat16", 16}, {"float8e4m3fn", 8}, {"float8e4m3fnuz", 8}, {"float8e5m2", 8},
    {"float8e5m2fnuz", 8}, {"uint4", 4},     {"int4", 4},         {"float4e2m1", 4},
}};

const DTypeRow* row_of(DType dtype) {
  const auto index = static_cast<size_t>(dtype);
  return index < dtype_rows.size() ? &dtype_rows[index] : nullptr;
}

template <class Target, class Source>
std::vector<Target> converted(const Tensor& tensor) {
  if (static_cast<int64_t>(tensor.data.size()) < tensor.byte_size())
    fail_input("tensor: holds {} bytes (expected {})", tensor.data.size(), tensor.byte_size());
  std::vector<Target> result(static_cast<size_t>(tensor.elements()));
  for (size_t i = 0; i < result.size(); ++i) {
    Source value;  // raw_data in a mapped file has no alignment
    std::memcpy(&value, tensor.data.data() + i * sizeof(Source), sizeof(Source));
    result[i] = static_cast<Target>(value);
  }
  return result;
}

template <class Source>
int64_t nonzero_of(const Tensor& tensor) {
  int64_t count = 0;
  const int64_t size = tensor.elements();
  for (int64_t i = 0; i < size; ++i) {
    Source value;
    std::memcpy(&value, tensor.data.data() + i * static_cast<int64_t>(sizeof(Source)), sizeof(Source));
    count += value != Source{};
  }
  return count;
}

int64_t nonzero_nibbles(const Tensor& tensor) {
  int64_t count = 0;
  const int64_t size = tensor.elements();
  for (int64_t i = 0; i < size; ++i)
    count += (std::to_integer<int>(tensor.data.data()[i / 2]) >> (i % 2 * 4) & 0xF) != 0;
  return count;
}

int64_t nonzero_of_half(const Tensor& tensor) {
  int64_t count = 0;
  const std::byte* bytes = tensor.data.data();
  const int64_t size = tensor.elements();
  for (int64_t i = 0; i < size; ++i) {
    uint16_t bits;
    std::memcpy(&bits, bytes + 2 * i, 2);
    count += (bits & 0x7fffu) != 0;
  }
  return count;
}

}  // namespace

std::string dtype_name(DType dtype) {
  const DTypeRow* row = row_of(dtype);
  return row != nullptr ? row->name : fmt::format("type {}", static_cast<int>(dtype));
}

int dtype_bits(DType dtype) {
  const DTypeRow* row = row_of(dtype);
  return row != nullptr ? row->bits : 0;
}

bool is_float(DType dtype) {
  switch (dtype) {
    case DType::float32:
    case DType::float64:
    case DType::float16:
    case DType::bfloat16:
      return true;
    default:
      return false;
  }
}

int64_t element_count(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t dim : shape) {
    if (dim < 0) fail_input("shape {}: has a negative dimension", shape_text(shape));
    if (dim != 0 && count > (int64_t{1} << 55) / dim)
      fail_input("shape {}: has more elements than memory can hold", shape_text(shape));
    count *= dim;
  }
  return count;
}

std::string shape_text(const Shape& shape) {
  return shape.empty() ? "scalar" : fmt::format("{}", fmt::join(shape, "x"));
}

std::vector<int64_t> to_int64(const Tensor& tensor) {
  switch (tensor.dtype) {
    case DType::int64:
      return converted<int64_t, int64_t>(tensor);
    case DType::int32:
      return converted<int64_t, int32_t>(tensor);
    case DType::int16:
      return converted<int64_t, int16_t>(tensor);
    case DType::int8:
      return converted<int64_t, int8_t>(tensor);
    case DType::uint64:
      return converted<int64_t, uint64_t>(tensor);
    case DType::uint32:
      return converted<int64_t, uint32_t>(tensor);
    case DType::uint16:
      return converted<int64_t, uint16_t>(tensor);
    case DType::boolean:
    case DType::uint8:
      return converted<int64_t, uint8_t>(tensor);
    default:
      fail_input("tensor: {} values where integers are needed", dtype_name(tensor.dtype));
  }
}

std::vector<double> to_double(const Tensor& tensor) {
  switch (tensor.dtype) {
    case DType::float32:
      return converted<double, float>(tensor);
    case DType::float64:
      return converted<double, double>(tensor);
    case DType::float16:
      return converted<double, Half>(tensor);
    case DType::bfloat16:
      return converted<double, BFloat16>(tensor);
    default: {
      const auto integers = to_int64(tensor);
      return {integers.begin(), integers.end()};
    }
  }
}

int64_t count_nonzero(const Tensor& tensor) {
  if (static_cast<int64_t>(tensor.data.size()) < tensor.byte_size()) return tensor.elements();
  switch (tensor.dtype) {
    case DType::float32:
      return nonzero_of<float>(tensor);
    case DType::float64:
      return nonzero_of<double>(tensor);
    case DType::float16:
    case DType::bfloat16:
      return nonzero_of_half(tensor);
    case DType::int64:
    case DType::uint64:
      return nonzero_of<int64_t>(tensor);
    case DType::int32:
    case DType::uint32:
      return nonzero_of<int32_t>(tensor);
    case DType::int16:
    case DType::uint16:
      return nonzero_of<int16_t>(tensor);
    case DType::int8:
    case DType::uint8:
    case DType::boolean:
      return nonzero_of<int8_t>(tensor);
    case DType::int4:
    case DType::uint4:
      return nonzero_nibbles(tensor);
    default:
      return tensor.elements();
  }
}

}  // namespace pare
