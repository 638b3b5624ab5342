// Random initial weights for models that are trained from nothing.
#pragma once

#include "src/exec/parameters.hpp"

namespace pare {

// Weights normal with variance 2 / fan-in (He et al., Delving Deep into Rectifiers, 2015), by seed; offsets that scale
// (inputs 1 of BatchNormalization) and running variances 1, everything else 0.
void initialize_kaiming(const Graph& graph, const Parameters& parameters, uint64_t seed);

}  // namespace pare
