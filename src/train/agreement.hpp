// How near the outputs of a model are to those of another one, or to given values.
#pragma once

#include "src/exec/aten.hpp"

namespace pare {

// Far above what rounding of double leaves: equal outputs have it, so that a gate on the SNR can be met by them.
inline constexpr double highest_snr_db = 300;

// Sums over the elements of outputs and of their reference, in double: taken block by block, so that a comparison needs
// no memory beside what it compares.
struct PowerSums {
  double own = 0;        // of squares
  double reference = 0;  // of squares
  double product = 0;
  double error = 0;  // of squared differences
  int64_t elements = 0;

  // Both of the same number of elements, in the same order.
  void add(const at::Tensor& outputs, const at::Tensor& wanted);
  // All float outputs of a model.
  void add(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& wanted);

  // 1 when both are equal, 0 when one of them is zero, NaN where a NaN is.
  double cosine() const;
  // Within +-highest_snr_db.
  double snr_db() const;
  // sum of squared differences / sum of reference^2; without power in the reference any error is infinitely loud.
  double relative_error() const;
};

// Of all float outputs of a model.
PowerSums power_sums(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& reference);

struct Agreement {
  double cosine = 0;  // of all elements as one vector; 1 when both are zero
  double snr_db = 0;  // 10 log10(sum of reference^2 / sum of difference^2); at most highest_snr_db, also when equal
  double mse = 0;
  double arg_max = 0;  // share of rows (all but the last dimension) with their largest element in the same place
};

// `outputs` against `reference`, of the same number of elements; NaN in what a NaN or an infinity of `outputs` touches.
Agreement agreement_of(const at::Tensor& outputs, const at::Tensor& reference);

// How many elements are NaN or infinite; 0 for integers.
int64_t count_nonfinite(const at::Tensor& tensor);

}  // namespace pare
