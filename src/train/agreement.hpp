// How near the outputs of a model are to those of another one, or to given values.
#pragma once

#include "src/exec/aten.hpp"

namespace pare {

struct Agreement {
  double cosine = 0;  // of all elements as one vector; 1 when both are zero
  double snr_db = 0;  // 10 log10(sum of reference^2 / sum of difference^2); at most highest_snr_db, also when equal
  double mse = 0;
  double arg_max = 0;  // share of rows (all but the last dimension) with their largest element in the same place
};

// Far above what rounding of double leaves: equal outputs have it, so that a gate on the SNR can be met by them.
inline constexpr double highest_snr_db = 300;

// `outputs` against `reference`, of the same number of elements; NaN in what a NaN or an infinity of `outputs` touches.
Agreement agreement_of(const at::Tensor& outputs, const at::Tensor& reference);

// How many elements are NaN or infinite; 0 for integers.
int64_t count_nonfinite(const at::Tensor& tensor);

}  // namespace pare
