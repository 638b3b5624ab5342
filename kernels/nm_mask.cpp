#include "kernels/nm_mask.hpp"

#include <cstring>

#include "kernels/blocks.hpp"
#include "kernels/nm_mask_math.hpp"

namespace pare::kernels {
namespace {

// Groups [begin, end) of four contiguous scores.
PARE_SIMD void two_of_four_range(const float* score, uint8_t* mask, int64_t begin, int64_t end) {
  for (int64_t g = begin; g < end; ++g) {
    const uint32_t kept = keep_two_of_four(ordered_key(score[4 * g]), ordered_key(score[4 * g + 1]),
                                           ordered_key(score[4 * g + 2]), ordered_key(score[4 * g + 3]));
    memcpy(mask + 4 * g, &kept, sizeof kept);
  }
}

// One group of `count` rows of `inner` scores: the rows are `inner` apart, the columns are independent groups.
PARE_SIMD void rows_of_group(const float* score, uint8_t* mask, int64_t inner, int count, int n, int64_t begin,
                             int64_t end) {
  for (int j = 0; j < count; ++j) {
    const float* own = score + j * inner;
    for (int64_t i = begin; i < end; ++i) mask[j * inner + i] = 0;
    for (int other = 0; other < count; ++other) {
      const float* rival = score + other * inner;
      if (other < j) {
        for (int64_t i = begin; i < end; ++i)
          mask[j * inner + i] =
              static_cast<uint8_t>(mask[j * inner + i] + (ordered_key(rival[i]) > ordered_key(own[i])));
      } else if (other > j) {
        for (int64_t i = begin; i < end; ++i)
          mask[j * inner + i] =
              static_cast<uint8_t>(mask[j * inner + i] + (ordered_key(rival[i]) >= ordered_key(own[i])));
      }
    }
    for (int64_t i = begin; i < end; ++i) mask[j * inner + i] = mask[j * inner + i] < n ? 1 : 0;
  }
}

}  // namespace

void write_nm_masks(Device device, const float* score, AxisView view, int n, int m, uint8_t* mask) {
  if (view.outer < 0 || view.length < 0 || view.inner < 0)
    fail_run("write_nm_masks: negative size (got {} x {} x {})", view.outer, view.length, view.inner);
  const int64_t size = view.outer * view.length * view.inner;
  check_tensor("write_nm_masks", 0, size, score, "score");
  check_tensor("write_nm_masks", 0, size, mask, "mask");
  if (n < 1 || n >= m || m > largest_group)
    fail_run("write_nm_masks: bad pattern (got {}:{}, expected 1 <= N < M <= {})", n, m, largest_group);
  if (size == 0) return;
  if (device.cuda) cuda::write_nm_masks(device.stream, score, view, n, m, mask);
  else cpu::write_nm_masks(score, view, n, m, mask);
}

namespace cpu {

void write_nm_masks(const float* score, AxisView view, int n, int m, uint8_t* mask) {
  if (view.inner == 1 && n == 2 && m == 4 && view.length % 4 == 0) {
    parallel_for(0, view.outer * view.length / 4, block_elements / 4,
                 [&](int64_t begin, int64_t end) { two_of_four_range(score, mask, begin, end); });
    return;
  }
  const int64_t groups = (view.length + m - 1) / m;
  const int64_t grain = std::max<int64_t>(1, block_elements / (m * view.inner));
  parallel_for(0, view.outer * groups, grain, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) {
      const int64_t first = g % groups * m;
      const int64_t offset = (g / groups * view.length + first) * view.inner;
      const int count = static_cast<int>(std::min<int64_t>(m, view.length - first));
      if (view.inner == 1) {
        for (int j = 0; j < count; ++j) mask[offset + j] = is_kept_in_group(score + offset, 1, count, n, j) ? 1 : 0;
      } else {
        rows_of_group(score + offset, mask + offset, view.inner, count, n, 0, view.inner);
      }
    }
  });
}

}  // namespace cpu
}  // namespace pare::kernels
