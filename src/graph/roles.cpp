#include "src/graph/roles.hpp"

#include <map>
#include <set>

#include "src/graph/fake_quant.hpp"
#include "src/graph/op_table.hpp"
#include "src/graph/subgraph.hpp"

namespace pare {
namespace {

bool multiplies(const Node& node, size_t input) {
  if (node.op == "MatMul") return input <= 1;
  if (node.op == "LSTM" || node.op == "GRU" || node.op == "RNN") return input == 1 || input == 2;
  return (node.op == "Conv" || node.op == "ConvTranspose" || node.op == "Gemm") && input == 1;
}

Role role_at(const Graph& graph, const Node& node, size_t input) {
  const auto& constant = graph.value(node.inputs[input]).constant;
  if (!constant || !is_float(constant->dtype)) return Role::none;
  if (is_fake_quant(node)) {
    if (input == 1) return fake_quant_of(node).quantizer == "minmax" ? Role::statistics : Role::step;
    return input == 0 && constant->shape.size() >= 2 ? Role::weight : Role::offset;
  }
  const OpInfo* info = find_op(node.domain, node.op);
  if (info != nullptr && info->gradient == Gradient::none) return Role::none;
  // Regions and factors; the parts of a quantized weight, apart from its bias.
  if ((node.op == "Resize" && input > 0) || (node.op == "MatMulNBits" && input != 5)) return Role::none;
  if (node.op == "BatchNormalization" && input >= 3) return Role::statistics;
  // Single numbers are part of the formula (an epsilon, a limit), not something learned.
  if (constant->elements() <= 1 && node.op != "BatchNormalization" && node.op != "Conv" && node.op != "Gemm")
    return Role::none;
  return multiplies(node, input) && constant->shape.size() >= 2 ? Role::weight : Role::offset;
}

}  // namespace

std::vector<Role> roles_of(const Graph& graph) {
  std::vector<Role> roles(graph.values.size(), Role::none);
  const auto add = [&](ValueId id, Role here) {
    Role& role = roles[static_cast<size_t>(id)];
    if (here != Role::none && (role == Role::none || here < role)) role = here;
  };
  for (const Node& node : graph.nodes) {
    const size_t listed = node.inputs.size() - node.captured;
    for (size_t i = 0; i < listed; ++i)
      if (node.inputs[i] != no_value) add(node.inputs[i], role_at(graph, node, i));
    if (node.captured == 0) continue;
    for (const auto& [name, subgraph] : subgraphs_of(node)) {
      const Graph body = seen_from(graph, node, *subgraph);
      const std::vector<Role> inside = roles_of(body);
      for (size_t i = 0; i < node.captured; ++i)
        add(node.inputs[listed + i],
            inside[static_cast<size_t>(body.inputs[body.inputs.size() - node.captured + i].value)]);
    }
  }
  return roles;
}

std::vector<IndirectWeight> indirect_weights(const Graph& graph) {
  const std::vector<Role> roles = roles_of(graph);
  // By value that follows from constants alone: those of them that could be weights, and their first node.
  std::map<ValueId, std::vector<IndirectWeight>> made;
  std::vector<IndirectWeight> found;
  std::set<ValueId> named;
  for (const Node& node : graph.nodes) {
    std::vector<IndirectWeight> sources;
    bool constant = !node.inputs.empty();
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId id = node.inputs[i];
      if (id == no_value) continue;
      const auto source = made.find(id);
      constant = constant && (source != made.end() || graph.value(id).constant);
      if (source != made.end()) {
        sources.insert(sources.end(), source->second.begin(), source->second.end());
        if (multiplies(node, i))
          for (const IndirectWeight& weight : source->second)
            if (named.insert(weight.constant).second) found.push_back({weight.constant, weight.through, &node});
      } else if (graph.value(id).constant && roles[static_cast<size_t>(id)] == Role::offset &&
                 graph.value(id).constant->shape.size() >= 2) {
        sources.push_back({id, &node, nullptr});
      }
    }
    if (!constant) continue;
    for (const ValueId output : node.outputs) made[output] = sources;
  }
  return found;
}

}  // namespace pare
