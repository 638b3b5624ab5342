#include <doctest/doctest.h>

#include "compress/weight_bits.hpp"
#include "src/core/error.hpp"
#include "src/core/random.hpp"

namespace pare {
namespace {

std::vector<WeightChoices> random_weights(size_t count, uint32_t seed) {
  std::vector<WeightChoices> weights(count);
  uint64_t draw = 0;
  for (WeightChoices& weight : weights)
    for (const int bits : {8, 4, 3, 2}) {
      const int64_t elements = 50 + static_cast<int64_t>(random_below(400, {seed, 1}, draw++));
      weight.choices.push_back(
          {bits, elements * bits / 8, static_cast<double>(random_below(1000, {seed, 2}, draw++)) / (1 << bits)});
    }
  return weights;
}

// The least error of all combinations within the budget; negative where none fits.
double best_of_all(const std::vector<WeightChoices>& weights, int64_t bytes) {
  size_t combinations = 1;
  for (const WeightChoices& weight : weights) combinations *= weight.choices.size();
  double best = -1;
  for (size_t number = 0; number < combinations; ++number) {
    int64_t cost = 0;
    double error = 0;
    for (size_t rest = number, i = 0; i < weights.size(); ++i) {
      const BitsChoice& choice = weights[i].choices[rest % weights[i].choices.size()];
      rest /= weights[i].choices.size();
      cost += choice.bytes;
      error += choice.error;
    }
    if (cost <= bytes && (best < 0 || error < best)) best = error;
  }
  return best;
}

}  // namespace

TEST_CASE("weight_bits: the allocation is the best of all combinations") {
  for (uint32_t seed = 0; seed < 20; ++seed)
    for (const int64_t bytes : {100, 300, 500, 700, 1200, 4000}) {
      const auto weights = random_weights(6, seed);
      const BitsAllocation allocation = allocate_bits(weights, bytes);
      const double best = best_of_all(weights, bytes);
      CAPTURE(seed);
      CAPTURE(bytes);
      CHECK(allocation.fits == (best >= 0));
      if (!allocation.fits) continue;
      CHECK(allocation.bytes <= bytes);
      CHECK(allocation.error == doctest::Approx(best).epsilon(1e-12));
    }
}

TEST_CASE("weight_bits: large sizes are rounded against the budget, never over it") {
  auto weights = random_weights(12, 3);
  for (WeightChoices& weight : weights)
    for (BitsChoice& choice : weight.choices) choice.bytes *= 1'000'003;
  const BitsAllocation allocation = allocate_bits(weights, 1'500'000'000);
  CHECK(allocation.fits);
  CHECK(allocation.bytes <= 1'500'000'000);
  CHECK(allocation.bytes >= 1'000'000'000);
}

TEST_CASE("weight_bits: a budget that nothing meets gives the smallest choices") {
  const auto weights = random_weights(3, 4);
  const BitsAllocation allocation = allocate_bits(weights, 1);
  CHECK_FALSE(allocation.fits);
  for (size_t i = 0; i < weights.size(); ++i)
    for (const BitsChoice& choice : weights[i].choices)
      CHECK(weights[i].choices[allocation.chosen[i]].bytes <= choice.bytes);
}

TEST_CASE("weight_bits: budgets are bytes or bits a weight") {
  CHECK(BitsBudget::parse("12000").bytes_for(5) == 12000);
  CHECK(BitsBudget::parse("3.5bpw").bytes_for(1000) == 437);
  for (const char* bad : {"", "bpw", "-3", "0", "3.5", "0bpw", "33bpw", "12k", "nanbpw"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(BitsBudget::parse(bad), Error);
  }
}

}  // namespace pare
