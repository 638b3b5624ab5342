// The second-order statistics of a layer's inputs, and the factor that layer-wise reconstruction works with.
#pragma once

#include "src/exec/aten.hpp"

namespace pare {

// H = X^T X of all rows x [K] that a layer sees, for each of its groups: the Hessian of its squared output error in one
// row of weights, up to a factor. Memory is groups K^2, however many rows come.
class Hessian {
 public:
  Hessian(int64_t groups, int64_t columns, at::Device device);

  // Adds rows [groups, n, K], fp32.
  void add(const at::Tensor& rows);

  int64_t groups() const { return sum_.size(0); }
  int64_t columns() const { return sum_.size(1); }
  // Of one group: [K, K], fp32.
  at::Tensor matrix(int64_t group) const;
  // Rows seen, of each group.
  int64_t rows() const { return rows_; }

 private:
  at::Tensor sum_;  // [groups, K, K], of which the blocks left of the diagonal stay zero
  int64_t rows_ = 0;
};

struct InverseFactor {
  at::Tensor upper;  // [K, K], fp32: U with U^T U = (H + damping)^-1
  at::Tensor dead;   // [K], bool: inputs that were always zero; their weights do not matter
  double damping = 0;
};

// The upper Cholesky factor of the inverse of one matrix [K, K], computed in fp64 (Frantar & Alistarh, SparseGPT, 2023;
// Frantar et al., GPTQ, 2023). `damping`, a share of the mean diagonal, is added to the diagonal, ten times more as
// often as the matrix is still not positive definite. Columns that are always zero get a diagonal of one. Throws
// (exit 3) for NaN or infinity, which an input of the layer must have had.
InverseFactor inverse_factor(const at::Tensor& hessian, double damping = 0.01);

}  // namespace pare
