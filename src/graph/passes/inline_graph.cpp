#include "src/graph/passes/inline_graph.hpp"

#include "src/core/error.hpp"
#include "src/graph/edit.hpp"

namespace pare {
namespace {

Node identity_node(const std::string& name, ValueId input, ValueId output) {
  Node node;
  node.name = name;
  node.op = "Identity";
  node.inputs = {input};
  node.outputs = {output};
  return node;
}

class Inliner {
 public:
  Inliner(Graph& target, const Graph& body, const Node& call) : target_(target), body_(body), call_(call) {
    ids_.resize(body.values.size(), no_value);
    mapped_.resize(body.values.size(), false);
  }

  void map(ValueId inner, ValueId outer) {
    ids_[static_cast<size_t>(inner)] = outer;
    mapped_[static_cast<size_t>(inner)] = true;
  }
  bool mapped(ValueId inner) const { return mapped_[static_cast<size_t>(inner)]; }

  // The target's value for one of the body; added when it is met for the first time.
  ValueId id_of(ValueId inner) {
    if (inner == no_value) return no_value;
    if (!mapped(inner)) {
      const Value& value = body_.value(inner);
      const ValueId id =
          target_.add_value(value.name.empty() ? "" : unused_name(target_, call_.name + "/" + value.name));
      Value& added = target_.value(id);
      added.dtype = value.dtype;
      added.shape = value.shape;
      added.constant = value.constant;
      map(inner, id);
    }
    return ids_[static_cast<size_t>(inner)];
  }

 private:
  Graph& target_;
  const Graph& body_;
  const Node& call_;
  std::vector<ValueId> ids_;
  std::vector<bool> mapped_;
};

}  // namespace

void inline_graph(Graph& target, const Graph& body, const Node& call, const std::vector<ValueId>& arguments,
                  std::vector<Node>& nodes) {
  if (call.outputs.size() > body.outputs.size())
    fail_input("{}: has {} outputs, its body {}", call.label(), call.outputs.size(), body.outputs.size());
  Inliner inliner(target, body, call);
  for (size_t i = 0; i < body.inputs.size(); ++i)
    inliner.map(body.inputs[i].value, i < arguments.size() ? arguments[i] : no_value);
  std::vector<size_t> copied;  // outputs that are no computed value of the body, or one that has two names
  for (size_t i = 0; i < call.outputs.size(); ++i) {
    const ValueId inner = body.outputs[i].value;
    if (call.outputs[i] == no_value) continue;
    if (inliner.mapped(inner) || body.value(inner).constant) copied.push_back(i);
    else inliner.map(inner, call.outputs[i]);
  }
  for (const Node& node : body.nodes) {
    Node copy = node;
    copy.name = call.name + "/" + node.name;
    for (ValueId& input : copy.inputs) input = inliner.id_of(input);
    for (ValueId& output : copy.outputs) output = inliner.id_of(output);
    nodes.push_back(std::move(copy));
  }
  for (const size_t i : copied)
    nodes.push_back(identity_node(fmt::format("{}/output_{}", call.name, i), inliner.id_of(body.outputs[i].value),
                                  call.outputs[i]));
}

int inline_constant_ifs(Graph& graph) {
  std::vector<Node> nodes;
  int inlined = 0;
  for (Node& node : graph.nodes) {
    const ValueId condition = node.input(0);
    const bool chosen = node.op == "If" && node.domain.empty() && condition != no_value &&
                        graph.value(condition).constant && graph.value(condition).constant->elements() == 1;
    if (!chosen) {
      nodes.push_back(std::move(node));
      continue;
    }
    const bool yes = to_int64(*graph.value(condition).constant).front() != 0;
    const Subgraph body = node.subgraph(yes ? "then_branch" : "else_branch");
    inline_graph(graph, *body, node, {node.inputs.begin() + 1, node.inputs.end()}, nodes);
    ++inlined;
  }
  graph.nodes = std::move(nodes);
  return inlined;
}

}  // namespace pare
