// From scores to masks: exactly so many single weights, N of M neighbours, or blocks; ties by (value, index in memory).
#pragma once

#include "compress/pattern.hpp"
#include "compress/weight_layout.hpp"
#include "src/exec/aten.hpp"

namespace pare {

// One weight. Score and mask have its memory layout.
struct RankedWeight {
  std::string name;
  WeightLayout layout;
  at::Tensor score;  // fp32: the smaller, the less the weight matters
  at::Tensor mask;   // uint8, 1 keeps; written. What it prunes already stays pruned unless said otherwise
};

// Prunes exactly `pruned` elements of all weights together: those that the masks prune already first, then the smallest
// scores.
void prune_smallest(std::span<RankedWeight> weights, int64_t pruned);

// Exchanges among equal numbers: of the elements that the masks keep, the `exchanged` ones with the smallest scores are
// pruned, and of all elements that are pruned then, the same number with the largest `growth` (in the order of the
// weights, fp32, in their memory layout) is kept.
void exchange(std::span<RankedWeight> weights, const std::vector<at::Tensor>& growth, int64_t exchanged);

// Keeps at most n of each m neighbours along the weight's reduction: those with the largest scores.
void prune_neighbours(RankedWeight& weight, int n, int m);

// Prunes the `pruned` blocks with the smallest mean score of all weights together; blocks that are pruned already
// first.
void prune_blocks(std::span<RankedWeight> weights, const Pattern& pattern, int64_t pruned);

// Blocks of the weight, and those of them that its mask prunes whole.
int64_t count_blocks(const RankedWeight& weight, const Pattern& pattern);
int64_t count_pruned_blocks(const RankedWeight& weight, const Pattern& pattern);

}  // namespace pare
