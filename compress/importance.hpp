// How much each weight matters: the methods by name, and what each needs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernels/score.hpp"

namespace pare {

enum class ScoreSource {
  weights,     // the weights alone; no data
  gradients,   // accumulated over steps of a loss (kernels/score.hpp has the formulas)
  activations  // what flows into the layers; no loss
};

struct ImportanceMethod {
  std::string_view name;
  ScoreSource source;
  kernels::Importance importance;  // of gradients; magnitude for the others
};

// The method of that name; throws (exit 2) naming the known ones. Apart from what kernels/score.hpp lists:
//   wanda      |w_ij| ||x_j||: x_j all values of input channel j of the layer (Sun et al. 2023)
//   random     uniform by seed, weight and position
//   sparsegpt  chosen together with new values for the kept weights: compress/reconstruct.hpp
const ImportanceMethod& find_importance(std::string_view name);

std::vector<std::string> importance_names();

}  // namespace pare
