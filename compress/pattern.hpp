// What becomes zero together: single weights, all but N of M neighbours, blocks of a matrix.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pare {

struct Pattern {
  enum class Kind {
    weight,
    n_of_m,  // at most n of m neighbours along the reduction stay (Mishra et al., Accelerating Sparse Deep Neural
             // Networks, 2021); the last group of a row may be shorter and keeps at most n too
    block,   // rows x columns of the matrix [outputs, reduction]; smaller at the edges
  };
  Kind kind = Kind::weight;
  int n = 0;
  int m = 0;
  int64_t rows = 0;
  int64_t columns = 0;

  // Of n_of_m: the share that becomes zero, 1 - n/m.
  double sparsity() const { return 1.0 - static_cast<double>(n) / static_cast<double>(m); }
};

// "weight", "2:4" (1 <= N < M <= 32), "block:4x1" (sizes of 1 or more, at most 4096; not 1x1). Throws (exit 2) saying
// what is expected.
Pattern parse_pattern(std::string_view text);

}  // namespace pare
