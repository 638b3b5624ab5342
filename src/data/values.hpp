// Stored elements of any numeric type, as floats or as another type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "src/graph/tensor.hpp"

namespace pare {

// True for the types that the functions below take: integers of 8 bits and more, bool, and floats of 16 to 64 bits.
bool is_numeric(DType dtype);

// Reverses the bytes of each element of `size` bytes: between big endian and little endian.
void swap_bytes(std::span<std::byte> elements, size_t size);

// The elements as float, 64-bit ones rounded to nearest. `stored` need not be aligned. Throws (exit 3) for a type that
// is not numeric.
void to_floats(DType from, const std::byte* stored, int64_t count, float* values);

// The elements as `to`, in native order; floats are rounded to nearest. Returns the first element that `to` does not
// have: out of range, or a fraction for an integer type; nullopt when there is none. Throws (exit 3) for types that are
// not numeric.
std::optional<int64_t> convert_elements(DType from, const std::byte* stored, int64_t count, DType to,
                                        std::byte* values);

// One element as text, for messages.
std::string element_text(DType dtype, const std::byte* element);

}  // namespace pare
