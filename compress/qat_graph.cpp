#include "compress/qat_graph.hpp"

#include <algorithm>
#include <bit>
#include <set>

#include "src/core/error.hpp"
#include "src/graph/edit.hpp"

namespace pare {
namespace {

// Moves the name of one value to another.
void give_name(Graph& graph, ValueId from, ValueId to) {
  std::string name = graph.value(from).name;
  const std::string other = graph.value(to).name;
  graph.value(to).name = name;
  graph.value(from).name = other;
  graph.by_name[name] = to;
  graph.by_name[other] = from;
}

struct Constants {
  ValueId step, zero;
};

Constants add_constants(Graph& graph, const QuantPlace& place, const FakeQuantForm& form, bool learned_zero) {
  const std::string name = graph.value(place.value).name;
  Shape shape;
  if (place.axis >= 0) shape = {graph.value(place.value).constant->shape.at(static_cast<size_t>(place.axis))};
  const auto filled = [&](const char* kind, float value) {
    const std::vector<float> values(static_cast<size_t>(element_count(shape)), value);
    return add_constant_value(graph, name + kind, Tensor::of(DType::float32, shape, values));
  };
  const ValueId step = filled("/step", 1.0f);
  return {step, learned_zero ? filled("/zero", static_cast<float>(form.zero_point)) : no_value};
}

// Index of the node behind which something must be put, -1 for graph inputs; of a constant: in front of its reader.
std::map<ValueId, size_t> positions(const Graph& graph) {
  std::map<ValueId, size_t> position;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const ValueId output : graph.nodes[i].outputs) position[output] = i + 1;
    for (const ValueId input : graph.nodes[i].inputs)
      if (input != no_value && graph.value(input).constant) position.emplace(input, i);
  }
  return position;
}

}  // namespace

void insert_fake_quant(Graph& graph, const QuantPlacement& placement,
                       const std::function<FakeQuantForm(const QuantPlace&)>& form_of,
                       const std::function<bool(const QuantPlace&)>& learned_zero) {
  const std::map<ValueId, size_t> position = positions(graph);
  std::map<ValueId, Constants> constants;
  std::map<ValueId, ValueId> quantized;
  NodeInsertions insertions;
  for (const QuantPlace& place : placement.places) {
    const ValueId origin = place.same_as == no_value ? place.value : place.same_as;
    const QuantPlace& first = *placement.find(origin);
    const FakeQuantForm form = form_of(first);
    if (!constants.contains(origin)) constants[origin] = add_constants(graph, first, form, learned_zero(first));
    const Value& value = graph.value(place.value);
    const ValueId output = add_computed_value(graph, value.name + "/quantized", DType::float32, value.shape);
    std::vector<ValueId> inputs{place.value, constants[origin].step};
    if (constants[origin].zero != no_value) inputs.push_back(constants[origin].zero);
    const auto found = position.find(place.value);
    insertions.before[found == position.end() ? 0 : found->second].push_back(
        fake_quant_node(graph.value(place.value).name + "/quantize", form, std::move(inputs), output));
    quantized[place.value] = output;
  }
  const auto replace = [&](ValueId& id) {
    if (const auto found = quantized.find(id); found != quantized.end()) id = found->second;
  };
  for (Node& node : graph.nodes)
    for (ValueId& input : node.inputs) replace(input);
  for (Port& output : graph.outputs) {
    const ValueId before = output.value;
    replace(output.value);
    if (output.value != before) give_name(graph, before, output.value);
  }
  insertions.apply(graph);
  verify(graph);
}

Graph without_fake_quant(const Graph& graph) {
  Graph result = graph;
  std::map<ValueId, ValueId> sources;
  const auto source_of = [&](ValueId id) {
    const auto found = sources.find(id);
    return found == sources.end() ? id : found->second;
  };
  std::set<ValueId> parameters;  // that only fake quantization reads
  for (const Node& node : graph.nodes) {
    if (!is_fake_quant(node)) continue;
    sources[node.outputs[0]] = source_of(node.inputs[0]);
    parameters.insert(node.inputs.begin() + 1, node.inputs.end());
  }
  std::erase_if(result.nodes, is_fake_quant);
  for (Node& node : result.nodes)
    for (ValueId& input : node.inputs) {
      input = source_of(input);
      parameters.erase(input);
    }
  // Their names are free for other steps.
  for (const ValueId id : parameters) {
    Value& parameter = result.value(id);
    result.by_name.erase(parameter.name);
    parameter.name.clear();
    parameter.constant.reset();
  }
  for (Port& output : result.outputs) {
    const ValueId source = source_of(output.value);
    if (source != output.value) give_name(result, output.value, source);
    output.value = source;
  }
  verify(result);
  return result;
}

LeastBits least_bits(const Graph& graph) {
  LeastBits least;
  for (const Node& node : graph.nodes) {
    if (!is_fake_quant(node)) continue;
    const FakeQuantForm form = fake_quant_of(node);
    const int bits = std::bit_width(static_cast<unsigned>(form.highest - form.lowest));
    int& fewest = graph.value(node.inputs[0]).constant ? least.weights : least.activations;
    fewest = fewest == 0 ? bits : std::min(fewest, bits);
  }
  return least;
}

Graph training_form(const Graph& graph) {
  Graph result = graph;
  const auto consumers = consumers_of(graph);
  std::map<ValueId, const Node*> producers;
  std::set<ValueId> outputs;
  for (const Node& node : graph.nodes)
    for (const ValueId output : node.outputs) producers[output] = &node;
  for (const Port& port : graph.outputs) outputs.insert(port.value);
  // Whether the value comes from a FakeQuant with this step, moved only.
  const auto quantized_already = [&](ValueId id, ValueId step) {
    for (auto found = producers.find(id); found != producers.end(); found = producers.find(id)) {
      const Node& node = *found->second;
      if (is_fake_quant(node)) return node.inputs[1] == step;
      if (!moves_values(node)) return false;
      id = node.inputs[0];
    }
    return false;
  };
  std::map<ValueId, ValueId> same;  // left out node's output: what it is
  std::set<const Node*> left_out;
  std::vector<Node> nodes;
  for (const Node& node : graph.nodes) {
    Node kept = node;
    if (is_fake_quant(node)) {
      if (quantized_already(node.inputs[0], node.inputs[1]) && !outputs.contains(node.outputs[0])) {
        const auto found = same.find(node.inputs[0]);
        same[node.outputs[0]] = found == same.end() ? node.inputs[0] : found->second;
        continue;
      }
      const auto producer = producers.find(node.inputs[0]);
      const FakeQuantForm form = fake_quant_of(node);
      if (node.inputs.size() < 3 && form.zero_point == form.lowest && producer != producers.end() &&
          producer->second->domain.empty() && producer->second->op == "Relu" &&
          consumers[static_cast<size_t>(node.inputs[0])].size() == 1 && !outputs.contains(node.inputs[0])) {
        left_out.insert(producer->second);
        kept.inputs[0] = producer->second->inputs[0];
      }
    }
    for (ValueId& input : kept.inputs)
      if (const auto found = same.find(input); found != same.end()) input = found->second;
    nodes.push_back(std::move(kept));
  }
  std::erase_if(nodes, [&](const Node& node) {
    return std::any_of(left_out.begin(), left_out.end(), [&](const Node* out) { return out->outputs == node.outputs; });
  });
  result.nodes = std::move(nodes);
  verify(result);
  return result;
}

void set_constants(Graph& graph, const std::map<std::string, Tensor>& tensors) {
  for (const auto& [name, tensor] : tensors)
    if (const ValueId id = graph.find(name); id != no_value && graph.value(id).constant)
      graph.value(id).constant = tensor;
}

}  // namespace pare
