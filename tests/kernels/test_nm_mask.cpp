#include <algorithm>
#include <numeric>

#include "kernels/nm_mask.hpp"
#include "src/core/error.hpp"
#include "tests/support/twin_cases.hpp"

namespace pare::test {
namespace {

// By sorting each group: the oracle.
std::vector<uint8_t> expected_mask(const std::vector<float>& score, kernels::AxisView view, int n, int m) {
  std::vector<uint8_t> mask(score.size());
  for (int64_t o = 0; o < view.outer; ++o)
    for (int64_t i = 0; i < view.inner; ++i)
      for (int64_t first = 0; first < view.length; first += m) {
        std::vector<size_t> group;
        for (int64_t l = first; l < std::min(first + m, view.length); ++l)
          group.push_back(static_cast<size_t>((o * view.length + l) * view.inner + i));
        std::stable_sort(group.begin(), group.end(), [&](size_t a, size_t b) { return score[a] < score[b]; });
        for (size_t kept = 0; kept < std::min<size_t>(static_cast<size_t>(n), group.size()); ++kept)
          mask[group[group.size() - 1 - kept]] = 1;
      }
  return mask;
}

void check_mask(TwinDevice& device, kernels::AxisView view, int n, int m, Values kind, size_t shift) {
  INFO(n << ":" << m << " of " << view.outer << " x " << view.length << " x " << view.inner << ", values "
         << static_cast<int>(kind) << ", shift " << shift);
  const TwinBuffer<float> score(device, make_values(kind, view.outer * view.length * view.inner, 1), shift);
  const TwinBuffer<uint8_t> mask(device, std::vector<uint8_t>(score.initial().size(), 9), shift);
  write_nm_masks(device.device(), score.get(), view, n, m, mask.get());
  check_same_bytes(mask.read(), expected_mask(score.initial(), view, n, m));
}

}  // namespace

TEST_CASE("nm_mask: every pattern, axis, value kind and alignment equals sorting each group") {
  on_every_device([](TwinDevice& device) {
    for (const auto& [n, m] : {std::pair{2, 4}, {1, 2}, {1, 4}, {3, 4}, {4, 8}, {2, 16}, {31, 32}})
      for (const Values kind : all_values)
        for (const kernels::AxisView view :
             {kernels::AxisView{3, 64, 1}, {5, 33, 1}, {2, 37, 9}, {1, 8, 100}, {7, 3, 1}})
          for (const size_t shift : {0, 1}) check_mask(device, view, n, m, kind, shift);
  });
}

TEST_CASE("nm_mask: all orders of four scores, with ties") {
  on_every_device([](TwinDevice& device) {
    std::vector<float> scores;
    for (int code = 0; code < 256; ++code)
      for (int j = 0; j < 4; ++j) scores.push_back(static_cast<float>(code >> (2 * j) & 3));
    const TwinBuffer<float> score(device, scores);
    const TwinBuffer<uint8_t> mask(device, std::vector<uint8_t>(scores.size()));
    write_nm_masks(device.device(), score.get(), {1, 1024, 1}, 2, 4, mask.get());
    check_same_bytes(mask.read(), expected_mask(scores, {1, 1024, 1}, 2, 4));
  });
}

TEST_CASE("nm_mask: a NaN is kept, and still only n are") {
  on_every_device([](TwinDevice& device) {
    const TwinBuffer<float> score(device, {NAN, 1, 2, INFINITY, NAN, NAN, NAN, 0, NAN, NAN, 1});
    const TwinBuffer<uint8_t> mask(device, std::vector<uint8_t>(11));
    write_nm_masks(device.device(), score.get(), {1, 11, 1}, 2, 4, mask.get());
    check_same_bytes(mask.read(), {1, 0, 0, 1, 0, 1, 1, 0, 1, 1, 0});
    write_nm_masks(device.device(), score.get(), {1, 8, 1}, 2, 4, mask.get());
    check_same_bytes(mask.read(), {1, 0, 0, 1, 0, 1, 1, 0, 1, 1, 0});
  });
}

TEST_CASE("nm_mask: a million scores") {
  on_every_device([](TwinDevice& device) {
    if (device.runs_large()) check_mask(device, {1, large_size - 1, 1}, 2, 4, Values::normal, 0);
  });
}

TEST_CASE("nm_mask: impossible patterns are refused, empty tensors are not") {
  on_every_device([](TwinDevice& device) {
    const TwinBuffer<float> score(device, {1});
    const TwinBuffer<uint8_t> mask(device, {9});
    for (const auto& [n, m] : {std::pair{0, 4}, {4, 4}, {2, 1}, {2, 33}})
      CHECK_THROWS_AS(write_nm_masks(device.device(), score.get(), {1, 1, 1}, n, m, mask.get()), Error);
    write_nm_masks(device.device(), nullptr, {3, 0, 5}, 2, 4, nullptr);
    CHECK(mask.read()[0] == 9);
  });
}

}  // namespace pare::test
