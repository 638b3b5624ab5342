#include "src/graph/roles.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

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

// Of several roles the first in their order that is one.
void prefer(Role& role, Role here) {
  if (here != Role::none && (role == Role::none || here < role)) role = here;
}

bool only_moves(const Node& node) {
  constexpr std::string_view movements[] = {"Cast",  "Concat", "Flatten", "Gather",    "Identity", "Reshape",
                                            "Slice", "Split",  "Squeeze", "Transpose", "Unsqueeze"};
  return node.domain.empty() && std::ranges::find(movements, node.op) != std::end(movements);
}

// The roles that the nodes of this graph alone give.
std::vector<Role> roles_at_nodes(const Graph& graph) {
  std::vector<Role> roles(graph.values.size(), Role::none);
  for (const Node& node : graph.nodes)
    for (size_t i = 0; i + node.captured < node.inputs.size(); ++i)
      if (node.inputs[i] != no_value) prefer(roles[static_cast<size_t>(node.inputs[i])], role_at(graph, node, i));
  return roles;
}

// Finds the indirect weights of one graph, without its subgraphs.
class IndirectScan {
 public:
  explicit IndirectScan(const Graph& graph) : graph_(graph), roles_(roles_at_nodes(graph)) {}

  std::vector<IndirectWeight> find() {
    for (const Node& node : graph_.nodes) visit(node);
    return std::move(found_);
  }

 private:
  using Sources = std::map<ValueId, IndirectWeight>;  // by constant

  bool may_be_weight(ValueId id) const {
    const auto& constant = graph_.value(id).constant;
    return constant && constant->shape.size() >= 2 && roles_[static_cast<size_t>(id)] == Role::offset;
  }

  void visit(const Node& node) {
    Sources sources;
    bool follows = !node.inputs.empty();  // from constants alone
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId id = node.inputs[i];
      if (id == no_value) continue;
      const auto made = made_.find(id);
      follows = follows && (made != made_.end() || graph_.value(id).constant);
      if (may_be_weight(id)) sources.insert({id, {id, node.label(), "", only_moves(node)}});
      if (made == made_.end()) continue;
      for (const auto& [constant, source] : made->second) {
        if (multiplies(node, i)) found_.push_back({constant, source.through, node.label(), source.moved});
        const auto known = sources.insert({constant, source}).first;
        known->second.moved = known->second.moved && source.moved && only_moves(node);
      }
    }
    if (!follows) return;
    for (const ValueId output : node.outputs) made_[output] = sources;
  }

  const Graph& graph_;
  std::vector<Role> roles_;
  std::map<ValueId, Sources> made_;  // by value that follows from constants: those that could be weights
  std::vector<IndirectWeight> found_;
};

// Calls visit(body, outer) for each subgraph as seen from the graph; `outer` has the graph's value for each captured
// input of the body.
template <class Visit>
void for_each_body(const Graph& graph, Visit visit) {
  for (const Node& node : graph.nodes) {
    if (node.captured == 0) continue;
    for (const auto& [name, subgraph] : subgraphs_of(node)) {
      const Graph body = seen_from(graph, node, *subgraph);
      std::map<ValueId, ValueId> outer;
      for (size_t i = 0; i < node.captured; ++i)
        outer[body.inputs[body.inputs.size() - node.captured + i].value] =
            node.inputs[node.inputs.size() - node.captured + i];
      visit(body, outer);
    }
  }
}

}  // namespace

std::vector<Role> roles_of(const Graph& graph) {
  std::vector<Role> roles = roles_at_nodes(graph);
  for (const IndirectWeight& weight : IndirectScan(graph).find())
    if (weight.moved) prefer(roles[static_cast<size_t>(weight.constant)], Role::moved_weight);
  for_each_body(graph, [&](const Graph& body, const std::map<ValueId, ValueId>& outer) {
    const std::vector<Role> inside = roles_of(body);
    for (const auto& [inner, id] : outer) prefer(roles[static_cast<size_t>(id)], inside[static_cast<size_t>(inner)]);
  });
  return roles;
}

std::vector<IndirectWeight> indirect_weights(const Graph& graph) {
  const std::vector<Role> roles = roles_of(graph);
  std::vector<IndirectWeight> all = IndirectScan(graph).find();
  for_each_body(graph, [&](const Graph& body, const std::map<ValueId, ValueId>& outer) {
    for (IndirectWeight& weight : indirect_weights(body)) {
      const auto found = outer.find(weight.constant);
      if (found == outer.end()) continue;
      weight.constant = found->second;
      all.push_back(std::move(weight));
    }
  });
  std::vector<IndirectWeight> result;
  std::set<ValueId> named;
  for (IndirectWeight& weight : all)
    if (roles[static_cast<size_t>(weight.constant)] != Role::weight && named.insert(weight.constant).second)
      result.push_back(std::move(weight));
  return result;
}

}  // namespace pare
