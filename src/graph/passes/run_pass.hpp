// The one way to change a graph: every pass is followed by the checks of verify().
#pragma once

#include <string_view>
#include <utility>

#include "src/core/error.hpp"
#include "src/graph/graph.hpp"

namespace pare {

// Calls `pass(graph)` and returns how much it changed. Throws exit 1 naming the pass when the graph is broken
// afterwards: that is a defect of the pass, not of the model.
template <class Pass>
int run_pass(Graph& graph, std::string_view name, Pass&& pass) {
  const int changed = std::forward<Pass>(pass)(graph);
  try {
    verify(graph);
  } catch (const Error& error) {
    fail_run("the pass '{}' broke the graph: {}", name, error.what());
  }
  return changed;
}

}  // namespace pare
