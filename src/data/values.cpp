#include "src/data/values.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "kernels/float_types.hpp"
#include "src/core/error.hpp"

namespace pare {
namespace {

struct Fp16 {
  uint16_t bits = 0;
  Fp16() = default;
  explicit Fp16(double value) {
    const auto half = static_cast<_Float16>(value);
    std::memcpy(&bits, &half, sizeof bits);
  }
  explicit operator double() const { return kernels::fp16_to_float(bits); }
};

struct Bf16 {
  uint16_t bits = 0;
  Bf16() = default;
  // Rounds to nearest even; a NaN stays one.
  explicit Bf16(double value) {
    const uint32_t wide = kernels::float_bits(static_cast<float>(value));
    bits = std::isnan(value) ? 0x7fc0 : static_cast<uint16_t>((wide + 0x7fffu + (wide >> 16 & 1u)) >> 16);
  }
  explicit operator double() const { return kernels::bf16_to_float(bits); }
};

template <class T>
T load(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// Calls `body` with a value of the C++ type that holds elements of `dtype`.
template <class Body>
auto with_type(DType dtype, Body body) {
  switch (dtype) {
    case DType::float32:
      return body(float{});
    case DType::float64:
      return body(double{});
    case DType::float16:
      return body(Fp16{});
    case DType::bfloat16:
      return body(Bf16{});
    case DType::int8:
      return body(int8_t{});
    case DType::int16:
      return body(int16_t{});
    case DType::int32:
      return body(int32_t{});
    case DType::int64:
      return body(int64_t{});
    case DType::uint8:
      return body(uint8_t{});
    case DType::uint16:
      return body(uint16_t{});
    case DType::uint32:
      return body(uint32_t{});
    case DType::uint64:
      return body(uint64_t{});
    case DType::boolean:
      return body(false);
    default:
      fail_input("elements of type {} are not numbers", dtype_name(dtype));
  }
}

// bool is stored as a byte, and a byte that is neither 0 nor 1 is no bool.
template <class T>
using Stored = std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>;

// Whether `value` is exactly one of integer type To.
template <class To, class From>
bool is_integer_of(From value) {
  if constexpr (std::is_same_v<To, bool>) return value == From{0} || value == From{1};
  else if constexpr (std::is_integral_v<From>) return std::in_range<To>(value);
  else {
    constexpr double below = static_cast<double>(std::numeric_limits<To>::min());
    const double above = std::ldexp(1.0, std::numeric_limits<To>::digits);
    return std::trunc(value) == value && value >= below && value < above;
  }
}

// Whether `value` was converted without being changed to another number.
template <class To, class From>
bool convert(From value, To& target) {
  if constexpr (std::is_integral_v<To>) {
    if constexpr (std::is_integral_v<From> || std::is_floating_point_v<From>) {
      if (!is_integer_of<To>(value)) return false;
      target = static_cast<To>(value);
      return true;
    } else {
      return convert(static_cast<double>(value), target);
    }
  } else {
    if constexpr (std::is_integral_v<From> || std::is_floating_point_v<From>) target = static_cast<To>(value);
    else target = static_cast<To>(static_cast<double>(value));
    return true;
  }
}

}  // namespace

bool is_numeric(DType dtype) {
  constexpr DType numeric[] = {DType::float32, DType::float64, DType::float16, DType::bfloat16, DType::int8,
                               DType::int16,   DType::int32,   DType::int64,   DType::uint8,    DType::uint16,
                               DType::uint32,  DType::uint64,  DType::boolean};
  return std::find(std::begin(numeric), std::end(numeric), dtype) != std::end(numeric);
}

void swap_bytes(std::span<std::byte> elements, size_t size) {
  if (size < 2) return;
  for (size_t at = 0; at + size <= elements.size(); at += size)
    std::reverse(elements.begin() + static_cast<ptrdiff_t>(at), elements.begin() + static_cast<ptrdiff_t>(at + size));
}

void to_floats(DType from, const std::byte* stored, int64_t count, float* values) {
  if (from == DType::float32) {
    std::memcpy(values, stored, static_cast<size_t>(count) * sizeof(float));
    return;
  }
  with_type(from, [&](auto type) {
    using From = Stored<decltype(type)>;
    for (int64_t i = 0; i < count; ++i) convert(load<From>(stored + i * int64_t{sizeof(From)}), values[i]);
  });
}

std::optional<int64_t> convert_elements(DType from, const std::byte* stored, int64_t count, DType to,
                                        std::byte* values) {
  if (from == to && from != DType::boolean && is_numeric(from)) {
    std::memcpy(values, stored, static_cast<size_t>(count * dtype_bits(from) / 8));
    return std::nullopt;
  }
  return with_type(from, [&](auto from_type) {
    return with_type(to, [&](auto to_type) -> std::optional<int64_t> {
      using From = Stored<decltype(from_type)>;
      using To = decltype(to_type);
      for (int64_t i = 0; i < count; ++i) {
        To target{};
        if (!convert(load<From>(stored + i * int64_t{sizeof(From)}), target)) return i;
        std::memcpy(values + i * int64_t{sizeof(To)}, &target, sizeof target);
      }
      return std::nullopt;
    });
  });
}

std::string element_text(DType dtype, const std::byte* element) {
  return with_type(dtype, [&](auto type) {
    using T = Stored<decltype(type)>;
    if constexpr (std::is_arithmetic_v<T>) return fmt::format("{}", load<T>(element));
    else return fmt::format("{}", static_cast<double>(load<T>(element)));
  });
}

}  // namespace pare
