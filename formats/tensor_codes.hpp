// The elements of a tensor as unsigned codes, and how codes are written: the `values` of README.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/graph/tensor.hpp"

namespace pare {

using Codes = std::vector<uint32_t>;

// Whether elements of that type are codes: all types of up to 32 bits, strings aside.
bool has_codes(DType dtype);

// Each element's bits as an unsigned number, row-major. The type must have codes, and the data fit the shape.
Codes codes_of(const Tensor& tensor);

// The inverse: row-major bytes as in ONNX; types below 8 bits are packed lowest bits first, and unused bits are 0.
Bytes bytes_of(DType dtype, const Codes& codes);

// The fewest bits, at least 1, from which every code comes back: by repeating the highest one for signed integers, by
// zeros for unsigned ones and bool. All bits of the type for floats.
int least_bits(DType dtype, const Codes& codes);

// Codes as they lie in a file: `name` is "raw", "packed:n" or "rans:n".
struct StoredValues {
  std::string name;
  Bytes bytes;
};

// The smallest form of the codes, of which `bits` bits count; with `entropy_code` rANS is among the choices.
StoredValues encode_values(DType dtype, const Codes& codes, int bits, bool entropy_code);

// The inverse, for `count` codes. Throws (exit 3) when `stored` does not hold them.
Codes decode_values(const StoredValues& stored, DType dtype, int64_t count);

// Whether `values` names a form that this version knows.
bool known_values(const std::string& values);

}  // namespace pare
