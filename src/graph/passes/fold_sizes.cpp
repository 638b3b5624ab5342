#include "src/graph/passes/fold_sizes.hpp"

#include <algorithm>
#include <numeric>

#include "src/graph/known_value.hpp"
#include "src/graph/shape_rules.hpp"

namespace pare {
namespace {

bool folds(const Graph& graph, const Node& node) {
  return std::all_of(node.outputs.begin(), node.outputs.end(), [&](ValueId output) {
    if (output == no_value) return true;
    const auto& known = graph.value(output).known;
    return known != nullptr && known->complete() && !known->from_weights;
  });
}

int remove_if(Graph& graph, const std::vector<bool>& gone) {
  std::vector<Node> kept;
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    if (!gone[i]) kept.push_back(std::move(graph.nodes[i]));
  graph.nodes = std::move(kept);
  return static_cast<int>(std::count(gone.begin(), gone.end(), true));
}

}  // namespace

int fold_sizes(Graph& graph) {
  infer_shapes(graph);
  std::vector<bool> gone(graph.nodes.size(), false);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (!folds(graph, node)) continue;
    gone[i] = true;
    for (const ValueId output : node.outputs) {
      if (output == no_value) continue;
      Value& value = graph.value(output);
      value.constant = to_tensor(*value.known);
      value.known.reset();
    }
  }
  return remove_if(graph, gone);
}

int remove_dead_nodes(Graph& graph) {
  std::vector<bool> read(graph.values.size(), false);
  for (const Port& output : graph.outputs) read[static_cast<size_t>(output.value)] = true;
  std::vector<bool> gone(graph.nodes.size(), false);
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    gone[i] = std::none_of(node.outputs.begin(), node.outputs.end(),
                           [&](ValueId output) { return output != no_value && read[static_cast<size_t>(output)]; });
    if (gone[i]) continue;
    for (const ValueId input : node.inputs)
      if (input != no_value) read[static_cast<size_t>(input)] = true;
  }
  return remove_if(graph, gone);
}

int remove_identities(Graph& graph) {
  std::vector<bool> returned(graph.values.size(), false);
  for (const Port& output : graph.outputs) returned[static_cast<size_t>(output.value)] = true;
  std::vector<ValueId> source(graph.values.size());
  std::iota(source.begin(), source.end(), 0);
  std::vector<bool> gone(graph.nodes.size(), false);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& node = graph.nodes[i];
    for (ValueId& input : node.inputs)
      if (input != no_value) input = source[static_cast<size_t>(input)];
    if (node.op != "Identity" || !node.domain.empty() || node.input(0) == no_value) continue;
    const auto output = static_cast<size_t>(node.outputs[0]);
    if (returned[output]) continue;
    gone[i] = true;
    source[output] = node.inputs[0];
  }
  return remove_if(graph, gone);
}

}  // namespace pare
