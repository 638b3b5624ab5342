// How much each weight matters: the methods by name, and what each needs.
#pragma once

#include <span>
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
  std::string_view formula;  // for help: "|w g|"
  std::string_view paper;
  ScoreSource source;
  kernels::Importance importance;  // of gradients; magnitude for the others
};

// Every method of --importance:
//   wanda      |w_ij| ||x_j||: x_j all values of input channel j of the layer
//   random     uniform by seed, weight and position
//   sparsegpt  chosen together with new values for the kept weights: compress/reconstruct.hpp
std::span<const ImportanceMethod> importance_methods();

// The method of that name; throws (exit 2) naming the known ones.
const ImportanceMethod& find_importance(std::string_view name);

std::vector<std::string> importance_names();

}  // namespace pare
