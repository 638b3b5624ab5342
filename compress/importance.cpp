#include "compress/importance.hpp"

#include "src/core/error.hpp"
#include "src/core/suggest.hpp"

namespace pare {
namespace {

using kernels::Importance;

constexpr ImportanceMethod methods[] = {
    {"magnitude", ScoreSource::weights, Importance::magnitude},
    {"taylor", ScoreSource::gradients, Importance::taylor},
    {"fisher", ScoreSource::gradients, Importance::fisher},
    {"snip", ScoreSource::gradients, Importance::snip},
    {"movement", ScoreSource::gradients, Importance::movement},
    {"wanda", ScoreSource::activations, Importance::magnitude},
    {"random", ScoreSource::weights, Importance::magnitude},
    {"sparsegpt", ScoreSource::activations, Importance::magnitude},
};

}  // namespace

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
