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

std::vector<int64_t> even_parts(int64_t size, int64_t count) {
  if (size < 0) return std::vector<int64_t>(static_cast<size_t>(count), -1);
  const int64_t part = (size + count - 1) / count;
  std::vector<int64_t> parts(static_cast<size_t>(count), part);
  if (count > 0) parts.back() = size - part * (count - 1);
  return parts;
}

}  // namespace pare
