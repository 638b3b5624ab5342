// Rounding of a matrix row by row, where later rows take over what earlier ones lose: the inner loop of GPTQ.
#pragma once

#include <cstdint>

#include "kernels/weight_codes.hpp"

namespace pare::kernels {

// Rows that one call rounds at most.
inline constexpr int64_t compensated_rows = 128;

// For each row i of values [rows, width] in order: v = values[i] - sum of factor[j, i] * errors[j] over j < i, the code
// round(v / scale[i]) limited to `range` as a sign-extended byte, and errors[i] = (v - code * scale[i]) / factor[i, i]
// (Frantar et al., GPTQ, 2023, the loop within a block of columns; rows here are the inputs of a layer, and `width` its
// outputs). values, scale, codes and errors are [rows, width], dense; factor is upper triangular with `stride` elements
// from row to row and a positive diagonal. rows <= compensated_rows. Columns are independent: the same bytes for any
// number of threads.
void round_compensated(const float* values, const float* scale, const float* factor, int64_t stride, int64_t rows,
                       int64_t width, CodeRange range, uint8_t* codes, float* errors);

}  // namespace pare::kernels
