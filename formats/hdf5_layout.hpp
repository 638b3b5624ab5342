// Which elements of a tensor an HDF5 file stores, and how their places are written: the layouts of README.md. Every
// sparse layout stands for a bit an element (1: stored), and the stored elements follow in row-major order, so that how
// they are stored is another matter.
#pragma once

#include <string>
#include <vector>

#include "src/graph/tensor.hpp"

namespace pare {

struct StorageLayout {
  std::string name;    // "dense", "bitmask", "csr", or "N:M" as "2:4"
  int64_t length = 0;  // of N:M: the elements lie as [outer, length, inner], groups of M along `length`; else 0
  int64_t inner = 0;

  bool is_dense() const { return name == "dense"; }
};

struct LayoutPlaces {
  StorageLayout layout;
  Bytes places;        // what is in front of the values; empty for dense
  Bytes bits;          // lowest bit first, unused ones 0; empty for dense
  int64_t stored = 0;  // number of ones; all elements for dense
};

// The layout that takes the fewest bytes for a tensor of that shape whose elements that are not zero have the bit 1 in
// `bits`, where a stored element takes `value_bits`. Of equal ones the first of dense, bitmask, csr, N:M. With N:M,
// groups of fewer than N have zeros among the stored elements: `bits` of the result says which.
LayoutPlaces choose_layout(const Shape& shape, const Bytes& bits, int value_bits);

// The inverse: reads the places at the beginning of `stored`. Result.places is that part. Throws (exit 3) when they do
// not fit the shape, or could not be of a tensor of that size.
LayoutPlaces read_layout(const StorageLayout& layout, const Shape& shape, const Bytes& stored);

}  // namespace pare
