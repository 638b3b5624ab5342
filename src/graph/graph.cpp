#include "src/graph/graph.hpp"

#include "src/core/error.hpp"

namespace pare {
namespace {

template <class T>
const T* attribute_as(const Node& node, std::string_view name, const char* type) {
  const auto found = node.attributes.find(name);
  if (found == node.attributes.end()) return nullptr;
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr) fail_input("{}: attribute '{}' is not {}", node.label(), name, type);
  return value;
}

}  // namespace

int64_t Node::integer(std::string_view attribute, int64_t otherwise) const {
  const auto* value = attribute_as<int64_t>(*this, attribute, "an integer");
  return value != nullptr ? *value : otherwise;
}

float Node::real(std::string_view attribute, float otherwise) const {
  const auto* value = attribute_as<float>(*this, attribute, "a float");
  return value != nullptr ? *value : otherwise;
}

std::string Node::text(std::string_view attribute, std::string_view otherwise) const {
  const auto* value = attribute_as<std::string>(*this, attribute, "a string");
  return value != nullptr ? *value : std::string(otherwise);
}

std::vector<int64_t> Node::integers(std::string_view attribute, std::vector<int64_t> otherwise) const {
  const auto* value = attribute_as<std::vector<int64_t>>(*this, attribute, "a list of integers");
  return value != nullptr ? *value : std::move(otherwise);
}

Subgraph Node::subgraph(std::string_view attribute) const {
  const auto* value = attribute_as<Subgraph>(*this, attribute, "a graph");
  if (value == nullptr) fail_input("{}: has no subgraph '{}'", label(), attribute);
  return *value;
}

std::string Node::label() const { return fmt::format("{} node '{}'", op, name); }

ValueId Graph::add_value(std::string value_name) {
  const auto id = static_cast<ValueId>(values.size());
  if (!value_name.empty() && !by_name.emplace(value_name, id).second)
    fail_input("value '{}' is defined twice", value_name);
  Value& added = values.emplace_back();
  added.name = std::move(value_name);
  return id;
}

ValueId Graph::find(const std::string& value_name) const {
  const auto found = by_name.find(value_name);
  return found == by_name.end() ? no_value : found->second;
}

std::vector<std::vector<const Node*>> consumers_of(const Graph& graph) {
  std::vector<std::vector<const Node*>> consumers(graph.values.size());
  for (const Node& node : graph.nodes)
    for (const ValueId input : node.inputs)
      if (input != no_value) consumers[static_cast<size_t>(input)].push_back(&node);
  return consumers;
}

namespace {

void verify_subgraphs(const Node& node) {
  if (node.captured > node.inputs.size()) fail_input("{}: captures more values than it has inputs", node.label());
  for (const auto& [name, attribute] : node.attributes) {
    const auto* body = std::get_if<Subgraph>(&attribute);
    if (body == nullptr) continue;
    if ((*body)->inputs.size() < node.captured)
      fail_input("{}: subgraph '{}' has {} inputs for {} captured values", node.label(), name, (*body)->inputs.size(),
                 node.captured);
    with_context(fmt::format("{}: subgraph '{}'", node.label(), name), [&] { verify(**body); });
  }
}

}  // namespace

void verify(const Graph& graph) {
  std::vector<bool> defined(graph.values.size(), false);
  const auto known = [&](ValueId id) { return id >= 0 && static_cast<size_t>(id) < graph.values.size(); };
  for (size_t i = 0; i < graph.values.size(); ++i) defined[i] = graph.values[i].constant.has_value();
  for (const Port& input : graph.inputs) {
    if (!known(input.value)) fail_input("graph: an input has no value");
    defined[static_cast<size_t>(input.value)] = true;
  }
  for (const Node& node : graph.nodes) {
    verify_subgraphs(node);
    for (const ValueId input : node.inputs) {
      if (input == no_value) continue;
      if (!known(input)) fail_input("{}: input id {} does not exist", node.label(), input);
      if (!defined[static_cast<size_t>(input)])
        fail_input("{}: input '{}' is not produced before it is read", node.label(), graph.value(input).name);
    }
    for (const ValueId output : node.outputs) {
      if (output == no_value) continue;
      if (!known(output)) fail_input("{}: output id {} does not exist", node.label(), output);
      if (defined[static_cast<size_t>(output)])
        fail_input("{}: output '{}' is produced twice", node.label(), graph.value(output).name);
      defined[static_cast<size_t>(output)] = true;
    }
  }
  for (const Port& output : graph.outputs)
    if (!known(output.value) || !defined[static_cast<size_t>(output.value)])
      fail_input("graph: output '{}' is not produced", known(output.value) ? graph.value(output.value).name : "?");
}

}  // namespace pare
