// How a sparsity of the whole is shared between layers.
#pragma once

#include <vector>

#include "src/graph/tensor.hpp"

namespace pare {

// The share of each weight that is kept under the Erdos-Renyi-kernel rule (Evci et al., Rigging the Lottery, 2020):
// proportional to the sum of the weight's dimensions over their product, scaled so that `density` of all elements is
// kept; what would be above 1 is 1, and the others share the rest. `counts`: what each weight counts instead of its
// elements, as its blocks. Shapes hold at least one element each; density is in [0, 1].
std::vector<double> erk_densities(const std::vector<Shape>& shapes, double density,
                                  const std::vector<int64_t>& counts = {});

}  // namespace pare
