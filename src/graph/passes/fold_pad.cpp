#include "src/graph/passes/fold_pad.hpp"

#include <algorithm>

#include "src/graph/node_inputs.hpp"

namespace pare {
namespace {

// The spatial pads as Conv's attribute has them (all begins, all ends); empty when the Pad does something else.
std::vector<int64_t> spatial_pads(const Graph& graph, const Node& node) {
  if (!node.domain.empty() || node.op != "Pad" || node.text("mode", "constant") != "constant") return {};
  const auto pads = constant_integers(graph, node, 1);
  if (!pads || node.input(3) != no_value || pads->size() < 6 || pads->size() % 2 != 0) return {};
  if (const ValueId fill = node.input(2); fill != no_value) {
    const auto& value = graph.value(fill).constant;
    if (!value || value->elements() != 1 || !is_float(value->dtype) || to_double(*value)[0] != 0) return {};
  }
  const size_t rank = pads->size() / 2;
  if ((*pads)[0] != 0 || (*pads)[1] != 0 || (*pads)[rank] != 0 || (*pads)[rank + 1] != 0) return {};
  if (std::any_of(pads->begin(), pads->end(), [](int64_t pad) { return pad < 0; })) return {};
  std::vector<int64_t> spatial(pads->begin() + 2, pads->begin() + static_cast<std::ptrdiff_t>(rank));
  spatial.insert(spatial.end(), pads->begin() + static_cast<std::ptrdiff_t>(rank) + 2, pads->end());
  return spatial;
}

}  // namespace

int fold_pad(Graph& graph) {
  std::vector<size_t> gone;
  const auto consumers = consumers_of(graph);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const std::vector<int64_t> pads = spatial_pads(graph, graph.nodes[i]);
    if (pads.empty()) continue;
    const ValueId padded = graph.nodes[i].outputs[0];
    const auto& readers = consumers[static_cast<size_t>(padded)];
    const bool output =
        std::any_of(graph.outputs.begin(), graph.outputs.end(), [&](const Port& port) { return port.value == padded; });
    if (readers.size() != 1 || output) continue;
    Node& conv = graph.nodes[static_cast<size_t>(readers[0] - graph.nodes.data())];
    if (conv.op != "Conv" || !conv.domain.empty() || conv.inputs[0] != padded ||
        conv.text("auto_pad", "NOTSET") != "NOTSET")
      continue;
    std::vector<int64_t> own = conv.integers("pads", std::vector<int64_t>(pads.size(), 0));
    if (own.size() != pads.size()) continue;
    for (size_t p = 0; p < pads.size(); ++p) own[p] += pads[p];
    conv.attributes["pads"] = own;
    conv.inputs[0] = graph.nodes[i].inputs[0];
    gone.push_back(i);
  }
  for (auto index = gone.rbegin(); index != gone.rend(); ++index)
    graph.nodes.erase(graph.nodes.begin() + static_cast<std::ptrdiff_t>(*index));
  return static_cast<int>(gone.size());
}

}  // namespace pare
