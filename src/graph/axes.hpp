// Axis attributes: negative axes count from the end, permutations default to the reversed order.
#pragma once

#include <cstddef>

#include "src/graph/graph.hpp"

namespace pare {

// `axis` in [-rank, rank) as an index; throws (exit 3) naming the node otherwise.
size_t axis_index(const Node& node, int64_t axis, size_t rank);

// Transpose's `perm`, checked against the rank.
std::vector<int64_t> permutation_of(const Node& node, size_t rank);

// Split without sizes: `count` parts of an axis, the last one smaller when they do not divide it (opset 18); -1 for an
// unknown size.
std::vector<int64_t> even_parts(int64_t size, int64_t count);

}  // namespace pare
