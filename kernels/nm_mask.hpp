// N:M masks: in every group of M neighbours along one axis, the N with the largest scores are kept.
#pragma once

#include <cstdint>

#include "kernels/device.hpp"

namespace pare::kernels {

// A tensor seen as [outer, length, inner], row-major; groups lie along `length`. For a convolution's [O, I, kH, kW]
// with groups of input channels: outer O, length I, inner kH kW.
struct AxisView {
  int64_t outer, length, inner;
};

inline constexpr int largest_group = 32;

// mask = 1 for the n largest scores of each group of m, else 0. Ties keep the later element, as select_smallest prunes
// the earlier; a NaN counts as larger than +inf. A last, shorter group of an axis keeps at most n as well, so that
// padding it with zeros gives legal groups. 1 <= n < m <= 32. Mishra et al., Accelerating Sparse Deep Neural Networks
// (2021) for 2:4.
void write_nm_masks(Device device, const float* score, AxisView view, int n, int m, uint8_t* mask);

namespace cpu {
void write_nm_masks(const float* score, AxisView view, int n, int m, uint8_t* mask);
}
namespace cuda {
void write_nm_masks(void* stream, const float* score, AxisView view, int n, int m, uint8_t* mask);
}

}  // namespace pare::kernels
