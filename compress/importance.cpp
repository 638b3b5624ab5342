#include "compress/importance.hpp"

#include "src/core/error.hpp"
#include "src/core/suggest.hpp"

namespace pare {
namespace {

using kernels::Importance;

constexpr ImportanceMethod methods[] = {
    {"magnitude", "|w|", "Han et al. 2015", ScoreSource::weights, Importance::magnitude},
    {"taylor", "|w*g|", "Molchanov et al. 2019", ScoreSource::gradients, Importance::taylor},
    {"fisher", "(w*g)^2", "Theis et al. 2018", ScoreSource::gradients, Importance::fisher},
    {"snip", "|sum of w*g|", "Lee et al. 2019", ScoreSource::gradients, Importance::snip},
    {"movement", "sum of -w*g", "Sanh et al. 2020", ScoreSource::gradients, Importance::movement},
    {"wanda", "|w|*norm of its input", "Sun et al. 2023", ScoreSource::activations, Importance::magnitude},
    {"random", "by seed", "", ScoreSource::weights, Importance::magnitude},
    {"sparsegpt", "refits the kept weights to the layer's outputs", "Frantar & Alistarh 2023", ScoreSource::activations,
     Importance::magnitude},
};

}  // namespace

std::span<const ImportanceMethod> importance_methods() { return methods; }

std::vector<std::string> importance_names() {
  std::vector<std::string> names;
  for (const ImportanceMethod& method : methods) names.emplace_back(method.name);
  return names;
}

const ImportanceMethod& find_importance(std::string_view name) {
  for (const ImportanceMethod& method : methods)
    if (method.name == name) return method;
  const std::vector<std::string> names = importance_names();
  fail_usage("importance '{}' is unknown{}; one of: {}", name, did_you_mean(name, names), fmt::join(names, ", "));
}

}  // namespace pare
