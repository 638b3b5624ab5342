// Small values whose elements are known before anything runs: sizes, and what models compute from sizes and constants
// (Shape -> Gather -> Concat -> Reshape). Each element is known or not on its own: of a batch of unknown size the other
// dimensions still are numbers.
#pragma once

#include <vector>

#include "src/graph/graph.hpp"

namespace pare {

struct Element {
  bool known = false;
  int64_t integer = 0;  // of integer and bool types
  double real = 0;      // of float types, rounded to the type
};

struct KnownValue {
  DType dtype = DType::undefined;
  Shape shape;
  std::vector<Element> elements;  // row-major
  // Computed from a float constant of several elements, which training may change: right for sizes, not to be frozen.
  bool from_weights = false;

  bool complete() const;
};

// Values with more elements are not followed.
inline constexpr int64_t known_value_limit = 4096;

// The types that are followed: bool, integers of 8 to 64 bits but uint64, float32, float64.
bool may_be_known(DType dtype);

// `value` as the type holds it: integers wrap around, reals are rounded. nullopt for a real that no integer holds.
std::optional<Element> converted(const Element& value, DType from, DType to);

// What is known of a value: a small constant's elements, the result of infer_shapes, or else a value of known type and
// shape without known elements. nullopt when even that is unknown, or the value is too large.
std::optional<KnownValue> known_value(const Graph& graph, ValueId id);

// The tensor of a complete value.
Tensor to_tensor(const KnownValue& value);

}  // namespace pare
