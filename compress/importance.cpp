#include "compress/importance.hpp"

#include <vector>

#include "src/core/error.hpp"
#include "src/core/suggest.hpp"

namespace pare {
namespace {

constexpr ImportanceMethod methods[] = {
    {"magnitude", kernels::Importance::magnitude, false},
    {"taylor", kernels::Importance::taylor, true},
    {"fisher", kernels::Importance::fisher, true},
};

}  // namespace

std::span<const ImportanceMethod> importance_methods() { return methods; }

const ImportanceMethod& find_importance(std::string_view name) {
  std::vector<std::string> names;
  for (const ImportanceMethod& method : methods) {
    if (method.name == name) return method;
    names.emplace_back(method.name);
  }
  fail_usage("importance '{}' is unknown{}; one of: {}", name, did_you_mean(name, names), fmt::join(names, ", "));
}

}  // namespace pare
