#include "src/graph/roles.hpp"

#include "src/graph/op_table.hpp"

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
  const OpInfo* info = find_op(node.domain, node.op);
  if (info != nullptr && info->gradient == Gradient::none) return Role::none;
  if (node.op == "Resize" && input > 0) return Role::none;  // regions and factors
  if (node.op == "BatchNormalization" && input >= 3) return Role::statistics;
  // Single numbers are part of the formula (an epsilon, a limit), not something learned.
  if (constant->elements() <= 1 && node.op != "BatchNormalization" && node.op != "Conv" && node.op != "Gemm")
    return Role::none;
  return multiplies(node, input) && constant->shape.size() >= 2 ? Role::weight : Role::offset;
}

}  // namespace

std::vector<Role> roles_of(const Graph& graph) {
  std::vector<Role> roles(graph.values.size(), Role::none);
  for (const Node& node : graph.nodes) {
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == no_value) continue;
      Role& role = roles[static_cast<size_t>(node.inputs[i])];
      const Role here = role_at(graph, node, i);
      if (here != Role::none && (role == Role::none || here < role)) role = here;
    }
  }
  return roles;
}

}  // namespace pare
