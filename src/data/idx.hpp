// IDX files (LeCun, Cortes, Burges, "The MNIST database of handwritten digits", http://yann.lecun.com/exdb/mnist/).
#pragma once

#include <cstdint>
#include <string>

#include "src/core/files.hpp"
#include "src/graph/tensor.hpp"

namespace pare {

// One IDX file. `data` holds the elements as the file does: row-major, big endian.
struct IdxArray {
  DType dtype = DType::undefined;  // uint8, int8, int16, int32, float32 or float64
  Shape shape;                     // one dimension or more
  Bytes data;

  // Writes elements [first, first + count) as float (int32 and float64 are rounded to nearest), or as int64 (towards
  // zero).
  void read(int64_t first, int64_t count, float* values) const;
  void read(int64_t first, int64_t count, int64_t* values) const;
};

// Reads an IDX file, plain (mapped) or gzip (told by content, not by name). Throws, naming file and offset: exit 2 when
// it is missing, exit 3 when its magic is wrong, it is cut off or damaged, or bytes follow the array.
IdxArray read_idx(const std::string& path);

}  // namespace pare
