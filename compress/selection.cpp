#include "compress/selection.hpp"

#include <fnmatch.h>

#include "src/core/error.hpp"
#include "src/graph/roles.hpp"

namespace pare {
namespace {

struct Weight {
  std::string name;
  std::vector<std::string> names;  // its own and those of its nodes
};

bool matches(const std::string& glob, const Weight& weight) {
  for (const std::string& name : weight.names)
    if (::fnmatch(glob.c_str(), name.c_str(), 0) == 0) return true;
  return false;
}

std::set<std::string> matching(const std::vector<std::string>& globs, const std::vector<Weight>& weights) {
  std::set<std::string> found;
  for (const std::string& glob : globs) {
    bool any = false;
    for (const Weight& weight : weights) {
      if (!matches(glob, weight)) continue;
      found.insert(weight.name);
      any = true;
    }
    if (!any) fail_usage("'{}' matches no weight of the model; `pare inspect` lists the names", glob);
  }
  return found;
}

template <class Candidate>
std::set<std::string> select(const Graph& graph, const std::vector<std::string>& include,
                             const std::vector<std::string>& exclude, const Candidate& is_candidate) {
  const auto consumers = consumers_of(graph);
  std::vector<Weight> weights;
  for (size_t i = 0; i < graph.values.size(); ++i) {
    if (!is_candidate(i)) continue;
    Weight weight{graph.values[i].name, {graph.values[i].name}};
    for (const Node* node : consumers[i]) weight.names.push_back(node->name);
    weights.push_back(std::move(weight));
  }
  std::set<std::string> selected = matching(include, weights);
  if (include.empty())
    for (const Weight& weight : weights) selected.insert(weight.name);
  for (const std::string& name : matching(exclude, weights)) selected.erase(name);
  return selected;
}

}  // namespace

std::set<std::string> select_weights(const Graph& graph, const std::vector<std::string>& include,
                                     const std::vector<std::string>& exclude, bool moved) {
  const auto roles = roles_of(graph);
  return select(graph, include, exclude,
                [&](size_t i) { return roles[i] == Role::weight || (moved && roles[i] == Role::moved_weight); });
}

std::set<std::string> select_tensors(const Graph& graph, const std::vector<std::string>& include,
                                     const std::vector<std::string>& exclude) {
  return select(graph, include, exclude, [&](size_t i) {
    const auto& constant = graph.values[i].constant;
    return constant && is_float(constant->dtype) && constant->shape.size() >= 2;
  });
}

}  // namespace pare
