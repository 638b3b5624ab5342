#include "src/core/random.hpp"

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

namespace pare {
namespace {

uint64_t low_half(const RandomBlock& block) { return block[0] | uint64_t{block[1]} << 32; }
uint64_t high_half(const RandomBlock& block) { return block[2] | uint64_t{block[3]} << 32; }

}  // namespace

uint64_t random_below(uint64_t bound, RandomKey key, uint64_t counter, uint32_t part) {
  const uint64_t biased = (0 - bound) % bound;  // 2^64 mod bound: so many low products would favour some results
  RandomBlock block = random_block(key, counter, part);
  for (;;) {
    const auto product = static_cast<unsigned __int128>(low_half(block)) * bound;
    if (static_cast<uint64_t>(product) >= biased) return static_cast<uint64_t>(product >> 64);
    block = philox4x32(block, {static_cast<uint32_t>(key.seed), static_cast<uint32_t>(key.seed >> 32)});
  }
}

float random_normal(RandomKey key, uint64_t counter, uint32_t part) {
  const RandomBlock block = random_block(key, counter, part);
  const double radius_draw = static_cast<double>((low_half(block) >> 11) + 1) * 0x1p-53;  // (0, 1]: its log is finite
  const double angle_draw = static_cast<double>(high_half(block) >> 11) * 0x1p-53;
  return static_cast<float>(std::sqrt(-2.0 * std::log(radius_draw)) * std::cos(2.0 * std::numbers::pi * angle_draw));
}

void shuffle_in_place(std::span<int64_t> items, RandomKey key, uint32_t part) {
  for (uint64_t left = items.size(); left > 1; --left)
    std::swap(items[left - 1], items[random_below(left, key, left, part)]);
}

std::vector<int64_t> permutation(int64_t n, RandomKey key, uint32_t part) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  shuffle_in_place(order, key, part);
  return order;
}

}  // namespace pare
