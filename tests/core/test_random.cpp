#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <vector>

#include <doctest/doctest.h>

#include "src/core/random.hpp"

namespace pare {
namespace {

// Sum of (observed - expected)^2 / expected over equally likely outcomes.
double chi_square(const std::vector<int64_t>& observed) {
  const double expected = static_cast<double>(std::accumulate(observed.begin(), observed.end(), int64_t{0})) /
                          static_cast<double>(observed.size());
  double sum = 0;
  for (const int64_t count : observed) sum += std::pow(static_cast<double>(count) - expected, 2) / expected;
  return sum;
}

// kat_vectors of Random123 1.14, the authors' implementation.
TEST_CASE("random: philox gives the published answers") {
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) == RandomBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) == RandomBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        RandomBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("random: stream names give the published FNV-1a values") {
  static_assert(random_stream("") == 0x811c9dc5u);
  static_assert(random_stream("a") == 0xe40c292cu);
  static_assert(random_stream("foobar") == 0xbf9cf968u);
}

TEST_CASE("random: every part of the place changes the number") {
  const RandomKey key{uint64_t{1} << 40, 2};
  const uint64_t base = random_u64(key, 3, 4);
  CHECK(base == random_u64(key, 3, 4));
  CHECK(base != random_u64({key.seed + 1, key.stream}, 3, 4));
  CHECK(base != random_u64({key.seed & 0xffffffffu, key.stream}, 3, 4));
  CHECK(base != random_u64({key.seed, key.stream + 1}, 3, 4));
  CHECK(base != random_u64(key, 3 + (uint64_t{1} << 32), 4));
  CHECK(base != random_u64(key, 3, 5));
}

TEST_CASE("random: bounded integers have no modulo bias") {
  // 2^64 is 4/3 of this bound. Taking the remainder would double the lowest third, scaling alone every third value.
  const uint64_t third = uint64_t{1} << 62;
  std::vector<int64_t> thirds(3), residues(3);
  for (uint64_t i = 0; i < 30000; ++i) {
    const uint64_t value = random_below(3 * third, {11, 0}, i);
    ++thirds.at(value / third);
    ++residues[value % 3];
  }
  CHECK(chi_square(thirds) < 13.8);  // 2 degrees of freedom, p = 0.001
  CHECK(chi_square(residues) < 13.8);
}

TEST_CASE("random: small bounds reach every value equally often") {
  std::vector<int64_t> counts(7);
  for (uint64_t i = 0; i < 70000; ++i) ++counts.at(random_below(7, {12, 0}, i));
  CHECK(chi_square(counts) < 22.5);  // 6 degrees of freedom, p = 0.001
  CHECK(random_below(1, {12, 0}, 5) == 0);
}

TEST_CASE("random: uniform floats fill the unit interval") {
  std::vector<int64_t> tenths(10);
  for (uint64_t i = 0; i < 50000; ++i) {
    const float value = random_uniform({13, 0}, i);
    REQUIRE(value >= 0.0f);
    REQUIRE(value < 1.0f);
    ++tenths[static_cast<size_t>(value * 10)];
  }
  CHECK(chi_square(tenths) < 27.9);  // 9 degrees of freedom, p = 0.001
}

TEST_CASE("random: normal numbers have the moments and the tail of a normal distribution") {
  const int n = 100000;
  double sum = 0, squares = 0, fourth = 0;
  int beyond_two = 0;
  for (uint64_t i = 0; i < n; ++i) {
    const double value = random_normal({14, 0}, i);
    sum += value;
    squares += value * value;
    fourth += std::pow(value, 4);
    beyond_two += std::abs(value) > 2.0 ? 1 : 0;
  }
  CHECK(sum / n == doctest::Approx(0).epsilon(0.015));
  CHECK(squares / n == doctest::Approx(1).epsilon(0.02));
  CHECK(fourth / n == doctest::Approx(3).epsilon(0.04));
  CHECK(beyond_two / double{n} == doctest::Approx(0.0455).epsilon(0.06));
}

// From an implementation in Python of the papers' text.
TEST_CASE("random: a permutation is the same on every machine") {
  CHECK(permutation(10, {(uint64_t{1} << 40) + 7, 5}, 3) == std::vector<int64_t>{4, 8, 1, 2, 0, 5, 7, 6, 9, 3});
}

TEST_CASE("random: a permutation holds every index once, for any size") {
  for (const int64_t n : {0, 1, 2, 3, 1000}) {
    std::vector<int64_t> order = permutation(n, {1, 2});
    std::sort(order.begin(), order.end());
    std::vector<int64_t> expected(static_cast<size_t>(n));
    std::iota(expected.begin(), expected.end(), int64_t{0});
    CHECK(order == expected);
  }
}

TEST_CASE("random: seeds, streams and parts give different permutations") {
  const std::vector<int64_t> order = permutation(100, {1, 2}, 3);
  CHECK(order == permutation(100, {1, 2}, 3));
  CHECK(order != permutation(100, {2, 2}, 3));
  CHECK(order != permutation(100, {1, 3}, 3));
  CHECK(order != permutation(100, {1, 2}, 4));
}

TEST_CASE("random: all orders of four items are equally likely") {
  std::map<std::vector<int64_t>, int64_t> seen;
  for (uint32_t part = 0; part < 24000; ++part) ++seen[permutation(4, {15, 0}, part)];
  REQUIRE(seen.size() == 24);
  std::vector<int64_t> counts;
  for (const auto& [order, count] : seen) counts.push_back(count);
  CHECK(chi_square(counts) < 49.7);  // 23 degrees of freedom, p = 0.001
}

}  // namespace
}  // namespace pare
