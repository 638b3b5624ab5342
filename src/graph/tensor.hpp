// A constant tensor: element type, shape and row-major bytes, owned or mapped from the model's file.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/core/files.hpp"

namespace pare {

// Numbered as TensorProto.DataType of the ONNX specification.
enum class DType : int32_t {
  undefined = 0,
  float32 = 1,
  uint8 = 2,
  int8 = 3,
  uint16 = 4,
  int16 = 5,
  int32 = 6,
  int64 = 7,
  string = 8,
  boolean = 9,
  float16 = 10,
  float64 = 11,
  uint32 = 12,
  uint64 = 13,
  complex64 = 14,
  complex128 = 15,
  bfloat16 = 16,
  float8e4m3fn = 17,
  float8e4m3fnuz = 18,
  float8e5m2 = 19,
  float8e5m2fnuz = 20,
  uint4 = 21,
  int4 = 22,
  float4e2m1 = 23,
};

using Shape = std::vector<int64_t>;

// "float32", "int4"...; "type 99" for numbers that ONNX does not know.
std::string dtype_name(DType dtype);
// Bits an element takes; 0 for string and undefined.
int dtype_bits(DType dtype);
bool is_float(DType dtype);

// Number of elements; 1 for a scalar. Throws (exit 3) on a negative dimension or a product over 2^55.
int64_t element_count(const Shape& shape);
// "3x224x224", "scalar".
std::string shape_text(const Shape& shape);

struct Tensor {
  DType dtype = DType::undefined;
  Shape shape;
  Bytes data;  // element_count * dtype_bits / 8 bytes, rounded up; little endian; empty for strings

  int64_t elements() const { return element_count(shape); }
  int64_t byte_size() const { return (elements() * dtype_bits(dtype) + 7) / 8; }

  // The elements as T, copied, since a file's bytes may lie at any address; T's size must be the dtype's.
  template <class T>
  std::vector<T> as() const {
    std::vector<T> values(data.size() / sizeof(T));
    std::copy_n(data.data(), values.size() * sizeof(T), reinterpret_cast<std::byte*>(values.data()));
    return values;
  }

  template <class T>
  static Tensor of(DType dtype, Shape shape, const std::vector<T>& values) {
    Tensor tensor{dtype, std::move(shape), {}};
    std::byte* target = nullptr;
    tensor.data = Bytes::allocate(values.size() * sizeof(T), &target);
    std::copy_n(reinterpret_cast<const std::byte*>(values.data()), values.size() * sizeof(T), target);
    return tensor;
  }
};

// The tensor's values as int64 (any integer type or bool) or as double (any integer or float type up to 64 bits).
// Throws (exit 3) for other types.
std::vector<int64_t> to_int64(const Tensor& tensor);
std::vector<double> to_double(const Tensor& tensor);

// How many elements differ from zero (float: -0 counts as zero). Float types of less than two bytes, strings and a
// tensor without its data: all count as nonzero.
int64_t count_nonzero(const Tensor& tensor);

}  // namespace pare
