#include "src/graph/known_value.hpp"

#include <algorithm>
#include <cmath>

namespace pare {
namespace {

template <class Stored>
Tensor reals_as(const KnownValue& value) {
  std::vector<Stored> elements;
  for (const Element& element : value.elements) elements.push_back(static_cast<Stored>(element.real));
  return Tensor::of(value.dtype, value.shape, elements);
}

template <class Stored>
Tensor integers_as(const KnownValue& value) {
  std::vector<Stored> elements;
  for (const Element& element : value.elements) elements.push_back(static_cast<Stored>(element.integer));
  return Tensor::of(value.dtype, value.shape, elements);
}

int64_t wrapped(int64_t value, DType dtype) {
  switch (dtype) {
    case DType::boolean:
      return value != 0;
    case DType::int8:
      return static_cast<int8_t>(value);
    case DType::uint8:
      return static_cast<uint8_t>(value);
    case DType::int16:
      return static_cast<int16_t>(value);
    case DType::uint16:
      return static_cast<uint16_t>(value);
    case DType::int32:
      return static_cast<int32_t>(value);
    case DType::uint32:
      return static_cast<uint32_t>(value);
    default:
      return value;
  }
}

double rounded(double value, DType dtype) {
  return dtype == DType::float32 ? static_cast<double>(static_cast<float>(value)) : value;
}

}  // namespace

bool KnownValue::complete() const {
  return std::all_of(elements.begin(), elements.end(), [](const Element& element) { return element.known; });
}

bool may_be_known(DType dtype) {
  switch (dtype) {
    case DType::boolean:
    case DType::int8:
    case DType::uint8:
    case DType::int16:
    case DType::uint16:
    case DType::int32:
    case DType::uint32:
    case DType::int64:
    case DType::float32:
    case DType::float64:
      return true;
    default:
      return false;
  }
}

std::optional<Element> converted(const Element& value, DType from, DType to) {
  if (!value.known) return Element{};
  if (is_float(to))
    return Element{true, 0, rounded(is_float(from) ? value.real : static_cast<double>(value.integer), to)};
  if (!is_float(from)) return Element{true, wrapped(value.integer, to), 0};
  if (to == DType::boolean) return Element{true, value.real != 0, 0};
  const double whole = std::trunc(value.real);
  if (!(whole >= -0x1p63 && whole < 0x1p63)) return std::nullopt;
  const auto integer = static_cast<int64_t>(whole);
  if (wrapped(integer, to) != integer) return std::nullopt;
  return Element{true, integer, 0};
}

std::optional<KnownValue> known_value(const Graph& graph, ValueId id) {
  if (id == no_value) return std::nullopt;
  const Value& value = graph.value(id);
  if (value.known) return *value.known;
  const DType dtype = value.constant ? value.constant->dtype : value.dtype;
  if (!may_be_known(dtype)) return std::nullopt;
  KnownValue result;
  result.dtype = dtype;
  if (!value.constant) {
    if (!value.shape || value.shape->size() > 1) return std::nullopt;
    const int64_t count = value.shape->empty() ? 1 : value.shape->front();
    if (count < 0 || count > known_value_limit) return std::nullopt;
    result.shape = *value.shape;
    result.elements.resize(static_cast<size_t>(count));
    return result;
  }
  const Tensor& tensor = *value.constant;
  if (tensor.elements() > known_value_limit || static_cast<int64_t>(tensor.data.size()) != tensor.byte_size())
    return std::nullopt;
  result.shape = tensor.shape;
  if (is_float(dtype)) {
    result.from_weights = tensor.elements() > 1;
    for (const double real : to_double(tensor)) result.elements.push_back({true, 0, real});
  } else {
    for (const int64_t integer : to_int64(tensor)) result.elements.push_back({true, integer, 0});
  }
  return result;
}

Tensor to_tensor(const KnownValue& value) {
  switch (value.dtype) {
    case DType::float32:
      return reals_as<float>(value);
    case DType::float64:
      return reals_as<double>(value);
    case DType::boolean:
    case DType::int8:
    case DType::uint8:
      return integers_as<uint8_t>(value);
    case DType::int16:
    case DType::uint16:
      return integers_as<uint16_t>(value);
    case DType::int32:
    case DType::uint32:
      return integers_as<uint32_t>(value);
    default:
      return integers_as<int64_t>(value);
  }
}

}  // namespace pare
