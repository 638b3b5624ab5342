#include "src/graph/axes.hpp"

#include <algorithm>

#include "src/core/error.hpp"

namespace pare {

size_t axis_index(const Node& node, int64_t axis, size_t rank) {
  const auto size = static_cast<int64_t>(rank);
  if (axis < -size || axis >= size) fail_input("{}: axis is out of range (got {}, rank {})", node.label(), axis, rank);
  return static_cast<size_t>(axis < 0 ? axis + size : axis);
}

std::vector<int64_t> permutation_of(const Node& node, size_t rank) {
  std::vector<int64_t> reversed(rank);
  for (size_t i = 0; i < rank; ++i) reversed[i] = static_cast<int64_t>(rank - 1 - i);
  const std::vector<int64_t> permutation = node.integers("perm", reversed);
  std::vector<int64_t> sorted = permutation;
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < sorted.size(); ++i)
    if (sorted.size() != rank || sorted[i] != static_cast<int64_t>(i))
      fail_input("{}: perm is not a permutation of {} axes (got [{}])", node.label(), rank,
                 fmt::join(permutation, ", "));
  return permutation;
}

}  // namespace pare
