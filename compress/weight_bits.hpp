// How many bits each weight takes, so that all together fit a budget with the least error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "compress/weight_only.hpp"

namespace pare {

// "12000" bytes, or "3.5bpw": bits a weight. Codes in their bits and scales count, as HDF5 files store them.
struct BitsBudget {
  int64_t bytes = 0;         // 0: see bits_a_weight
  double bits_a_weight = 0;  // over all weights that can be quantized

  // Throws (exit 2) with what is possible.
  static BitsBudget parse(const std::string& text);
  int64_t bytes_for(int64_t weights) const;
};

// What a weight would be in some number of bits.
struct BitsChoice {
  int bits = 0;
  int64_t bytes = 0;  // codes (behind a bit mask where that is less) and scales
  double error = 0;  // sum (w - decoded)^2 / sum w^2: the relative noise of the layer's outputs for uncorrelated inputs
};

struct WeightChoices {
  std::string name;
  int64_t elements = 0;
  std::vector<BitsChoice> choices;
};

// The choices of each weight that `config` quantizes, for 8, 4, 3 and 2 bits up to `config.bits`. Errors as
// quantize_weights_only().
std::vector<WeightChoices> choices_of_bits(const Graph& graph, const WeightOnlyConfig& config);

struct BitsAllocation {
  std::vector<size_t> chosen;  // of each weight's choices
  int64_t bytes = 0;
  double error = 0;   // the sum of the errors
  bool fits = false;  // else each weight has its smallest choice
};

// The choice with the least sum of errors among those of at most `bytes`, found by dynamic programming over the
// combinations that no other one beats in both (Nemhauser and Ullmann 1969): exact up to 65,536 bytes; beyond, sizes
// are rounded up to 1/65,536 of the budget. Of equal ones the first choices. Each weight must have a choice.
BitsAllocation allocate_bits(const std::vector<WeightChoices>& weights, int64_t bytes);

}  // namespace pare
