#include "compress/qdq_placement.hpp"

#include <algorithm>
#include <set>
#include <string_view>

#include "src/core/error.hpp"

namespace pare {
namespace {

using Names = std::set<std::string_view>;

// The result has the numbers of input 0, some of them or in other places.
const Names moving = {"DepthToSpace", "Flatten", "Identity", "MaxPool",   "Reshape",
                      "Slice",        "Split",   "Squeeze",  "Transpose", "Unsqueeze"};
const Names joining = {"Add", "Concat", "Mul"};
const Names pointwise = {"AveragePool", "GlobalAveragePool", "LeakyRelu", "Sigmoid"};

bool is(const Node& node, const Names& names) { return node.domain.empty() && names.contains(node.op); }
bool is(const Node& node, std::string_view op) { return node.domain.empty() && node.op == op; }

class Placer {
 public:
  Placer(const Graph& graph, const std::function<bool(const std::string&)>& selected)
      : graph_(graph), selected_(selected), consumers_(consumers_of(graph)), producers_(graph.values.size(), nullptr) {
    for (const Node& node : graph.nodes)
      for (const ValueId output : node.outputs)
        if (output != no_value) producers_[static_cast<size_t>(output)] = &node;
  }

  Placement run() {
    for (const Node& node : graph_.nodes) {
      if (is(node, "Conv") || is(node, "Gemm") || is(node, "MatMul")) place_product(node);
      else if (is(node, joining)) place_joining(node);
      else if (is(node, pointwise)) place_pointwise(node);
      else if (is(node, moving)) place_moving(node);
    }
    mark_outer();
    std::stable_sort(result_.places.begin(), result_.places.end(),
                     [&](const QuantPlace& a, const QuantPlace& b) { return position(a) < position(b); });
    return std::move(result_);
  }

 private:
  const std::vector<const Node*>& consumers(ValueId id) const { return consumers_[static_cast<size_t>(id)]; }
  const Node* producer(ValueId id) const { return producers_[static_cast<size_t>(id)]; }
  bool constant(ValueId id) const { return id != no_value && graph_.value(id).constant.has_value(); }
  bool placed(ValueId id) const { return result_.find(id) != nullptr; }
  bool is_output(ValueId id) const {
    return std::any_of(graph_.outputs.begin(), graph_.outputs.end(),
                       [&](const Port& port) { return port.value == id; });
  }
  // Index of the node behind which the place lies; weights lie where they are read.
  std::ptrdiff_t position(const QuantPlace& place) const {
    const Node* node = place.kind == QuantPlace::Kind::weight ? consumers(place.value).front() : producer(place.value);
    return node == nullptr ? -1 : 2 * (node - graph_.nodes.data()) + (place.kind == QuantPlace::Kind::weight ? 0 : 1);
  }

  // Whether the value may be quantized: fp32, computed, and no Softmax reads it.
  bool possible(ValueId id) const {
    const Value& value = graph_.value(id);
    if (value.constant || (value.dtype != DType::float32 && value.dtype != DType::undefined)) return false;
    return std::none_of(consumers(id).begin(), consumers(id).end(),
                        [](const Node* node) { return node->op == "Softmax" || node->op == "LogSoftmax"; });
  }

  void place(ValueId id, ValueId same_as = no_value) {
    if (placed(id) || !possible(id)) return;
    const Node* node = producer(id);
    QuantPlace place{QuantPlace::Kind::activation, id, -1, non_negative(id), same_as, node ? node->name : "", false};
    result_.places.push_back(std::move(place));
  }

  bool non_negative(ValueId id) const {
    const Node* node = producer(id);
    if (node == nullptr) return false;
    if (is(*node, "Relu") || is(*node, "Sigmoid")) return true;
    if (is(*node, "Clip")) {
      const ValueId least = node->input(1);
      return constant(least) && graph_.value(least).constant->elements() == 1 &&
             to_double(*graph_.value(least).constant)[0] >= 0;
    }
    if (is(*node, moving) || is(*node, pointwise)) return non_negative(node->inputs[0]);
    return false;
  }

  // The only node that reads the value, or null.
  const Node* only_reader(ValueId id) const {
    return consumers(id).size() == 1 && !is_output(id) ? consumers(id).front() : nullptr;
  }

  // The last value of what the runtime computes as one with the node: behind its BatchNormalization, the addition of a
  // constant to a matrix product (reported in `bias`), and Relu or Clip.
  ValueId end_of(const Node& node, ValueId* bias) const {
    ValueId end = node.outputs[0];
    const Node* next = only_reader(end);
    if (next != nullptr && is(node, "Conv") && is(*next, "BatchNormalization")) {
      end = next->outputs[0];
      next = only_reader(end);
    }
    if (next != nullptr && is(node, "MatMul") && is(*next, "Add")) {
      const ValueId other = next->inputs[next->inputs[0] == end ? 1 : 0];
      if (constant(other) && graph_.value(other).constant->shape.size() <= 1) {
        if (bias != nullptr) *bias = other;
        end = next->outputs[0];
        next = only_reader(end);
      }
    }
    if (next != nullptr && (is(*next, "Relu") || is(*next, "Clip"))) end = next->outputs[0];
    return end;
  }

  void place_product(const Node& node) {
    const ValueId input = node.inputs[0], weight = node.inputs[1];
    ValueId bias = node.input(2);
    if (!constant(weight)) {
      if (!is(node, "MatMul") || !possible(input) || !possible(weight)) return;
      place(input);
      place(weight);
      place_end(node, end_of(node, nullptr));
      return;
    }
    const Value& value = graph_.value(weight);
    const size_t rank = value.constant->shape.size();
    const bool plain = !is(node, "Gemm") ||
                       (node.real("alpha", 1) == 1 && node.real("beta", 1) == 1 && node.integer("transA", 0) == 0);
    if (value.constant->dtype != DType::float32 || rank < 2 || !selected_(value.name) || !plain ||
        consumers(weight).size() != 1 || !possible(input) || (bias != no_value && !constant(bias)))
      return;
    const ValueId end = end_of(node, &bias);
    const int axis = is(node, "Conv")   ? 0
                     : is(node, "Gemm") ? (node.integer("transB", 0) != 0 ? 0 : 1)
                                        : static_cast<int>(rank) - 1;
    place(input);
    result_.places.push_back({QuantPlace::Kind::weight, weight, axis, false, no_value, node.name, false});
    result_.layers.push_back({node.name, input, weight, bias});
    place_end(node, end);
  }

  void place_end(const Node& node, ValueId end) {
    if (is_output(end) && !is(node, "Conv")) return;
    place(end);
  }

  void place_joining(const Node& node) {
    if (std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) { return !placed(id); })) return;
    place(end_of(node, nullptr));
  }

  void place_pointwise(const Node& node) {
    if (placed(node.inputs[0])) place(node.outputs[0]);
  }

  void place_moving(const Node& node) {
    const QuantPlace* source = result_.find(node.inputs[0]);
    if (source == nullptr) return;
    const ValueId origin = source->same_as == no_value ? source->value : source->same_as;
    for (const ValueId output : node.outputs)
      if (output != no_value && !is_output(output)) place(output, origin);
  }

  void mark_outer() {
    if (result_.layers.empty()) return;
    for (const QuantLayer* layer : {&result_.layers.front(), &result_.layers.back()})
      for (QuantPlace& place : result_.places) {
        const QuantPlace* input = result_.find(layer->input);
        const ValueId origin = input == nullptr || input->same_as == no_value ? layer->input : input->same_as;
        if (place.value == layer->weight || place.value == origin || place.same_as == origin) place.outer = true;
      }
  }

  const Graph& graph_;
  const std::function<bool(const std::string&)>& selected_;
  std::vector<std::vector<const Node*>> consumers_;
  std::vector<const Node*> producers_;
  Placement result_;
};

}  // namespace

const QuantPlace* Placement::find(ValueId value) const {
  const auto found =
      std::find_if(places.begin(), places.end(), [&](const QuantPlace& place) { return place.value == value; });
  return found == places.end() ? nullptr : &*found;
}

Placement place_quantization(const Graph& graph, const std::function<bool(const std::string& weight)>& selected) {
  return Placer(graph, selected).run();
}

}  // namespace pare
