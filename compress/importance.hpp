// How much each weight matters: the methods by name, and their scores accumulated over training steps.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "kernels/score.hpp"

namespace pare {

struct ImportanceMethod {
  std::string_view name;
  kernels::Importance importance;
  bool needs_gradient;
};

// Every method of --importance.
std::span<const ImportanceMethod> importance_methods();

// The method of that name; throws (exit 2) naming the known ones.
const ImportanceMethod& find_importance(std::string_view name);

}  // namespace pare
