#include "compress/qdq_placement.hpp"

#include <algorithm>
#include <set>
#include <string_view>

#include "src/core/error.hpp"

namespace pare {
namespace {

using Names = std::set<std::string_view>;

// The result has the numbers of input 0, some of them or in other places.
const Names moving = {"DepthToSpace", "Flatten", "Identity",  "MaxPool",   "Reshape", "Slice",
                      "Split",        "Squeeze", "Transpose", "Unsqueeze", "Dropout"};
const Names joining = {"Add", "Concat", "Mul"};
const Names pointwise = {"AveragePool", "GlobalAveragePool", "LeakyRelu", "Sigmoid"};
const Names products = {"Conv", "ConvTranspose", "Gemm", "MatMul"};
// Functions for which small differences matter: the sums and products that they read stay float.
const Names sensitive = {"Erf", "Exp", "Log", "LogSoftmax", "Pow", "Reciprocal", "Softmax", "Sqrt", "Tanh"};

bool is(const Node& node, const Names& names) { return node.domain.empty() && names.contains(node.op); }
bool is(const Node& node, std::string_view op) { return node.domain.empty() && node.op == op; }

class Placer {
 public:
  Placer(const Graph& graph, const std::function<bool(const std::string&)>& selected, QuantProfile profile,
         const std::set<ValueId>& floats)
      : graph_(graph),
        selected_(selected),
        floats_(floats),
        tensorrt_(profile == QuantProfile::tensorrt),
        consumers_(consumers_of(graph)),
        producers_(graph.values.size(), nullptr),
        saturation_(graph),
        float_(saturation_.inside()) {
    for (const Node& node : graph.nodes)
      for (const ValueId output : node.outputs)
        if (output != no_value) producers_[static_cast<size_t>(output)] = &node;
    for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node)
      if (is(*node, joining) && stays_float(*node)) float_.insert(&*node);
  }

  QuantPlacement run() {
    for (const Node& node : graph_.nodes)
      if (is(node, products)) place_product(node);
    // What a later layer reads may make an earlier sum possible: until nothing changes.
    for (size_t before = 0; before != result_.places.size();) {
      before = result_.places.size();
      for (const Node& node : graph_.nodes) {
        if (is(node, joining)) tensorrt_ ? place_residual(node) : place_joining(node);
        else if (tensorrt_) continue;
        else if (is(node, pointwise)) place_pointwise(node);
        else if (is(node, moving) || is_nearest(node)) place_moving(node);
      }
    }
    for (const Node& node : graph_.nodes)
      if (!tensorrt_ && (is(node, moving) || is_nearest(node))) link_moving(node);
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

  // Resize that repeats values.
  static bool is_nearest(const Node& node) { return is(node, "Resize") && node.text("mode", "nearest") == "nearest"; }

  // Whether a sum or product feeds nothing but functions that need it exact, or a product nothing that has an integer
  // form. Nodes behind this one are decided already.
  bool stays_float(const Node& node) const {
    const ValueId end = end_of(node, nullptr);
    if (is_output(end) || consumers(end).empty() || is(node, "Concat")) return false;
    return std::all_of(consumers(end).begin(), consumers(end).end(), [&](const Node* reader) {
      return is(*reader, sensitive) || float_.contains(reader) || (is(node, "Mul") && !has_integer_form(*reader));
    });
  }

  static bool has_integer_form(const Node& node) {
    return is(node, products) || is(node, joining) || is(node, pointwise) || is(node, moving) || is_nearest(node);
  }

  // Whether all that reads the value only moves it to the outputs.
  bool ends_in_outputs(ValueId id) const {
    if (is_output(id)) return true;
    return !consumers(id).empty() && std::all_of(consumers(id).begin(), consumers(id).end(), [&](const Node* reader) {
      return is(*reader, moving) && reader->outputs.size() == 1 && ends_in_outputs(reader->outputs[0]);
    });
  }

  bool asked_float(ValueId id) const {
    if (floats_.contains(id)) return true;
    const Node* node = producer(id);
    return node != nullptr && !floats_.empty() && (is(*node, moving) || is_nearest(*node)) &&
           asked_float(node->inputs[0]);
  }

  // Whether the value may be quantized: fp32, computed, and no Softmax reads it.
  bool possible(ValueId id) const {
    const Value& value = graph_.value(id);
    if (value.constant || (value.dtype != DType::float32 && value.dtype != DType::undefined)) return false;
    if (asked_float(id)) return false;
    if (producer(id) != nullptr && is(*producer(id), "DequantizeLinear")) return false;  // is quantized already
    return std::none_of(consumers(id).begin(), consumers(id).end(), [](const Node* node) {
      return is(*node, "Softmax") || is(*node, "LogSoftmax") || is(*node, "QuantizeLinear");
    });
  }

  void place(ValueId id) {
    if (placed(id) || !possible(id)) return;
    const Node* node = producer(id);
    QuantPlace place{QuantPlace::Kind::activation, id, -1, non_negative(id), no_value, node ? node->name : "", false,
                     saturation_.limits(id)};
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
    if (is(node, "ConvTranspose") && (!tensorrt_ || node.integer("group", 1) != 1)) return;
    if (!constant(weight)) {
      if (!is(node, "MatMul") || !possible(input) || !possible(weight)) return;
      place(input);
      place(weight);
      const ValueId end = end_of(node, nullptr);
      if (std::any_of(consumers(end).begin(), consumers(end).end(),
                      [](const Node* reader) { return has_integer_form(*reader); }))
        place_end(node, end);
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
    const int axis = is(node, "Conv")            ? 0
                     : is(node, "ConvTranspose") ? 1
                     : is(node, "Gemm")          ? (node.integer("transB", 0) != 0 ? 0 : 1)
                                                 : static_cast<int>(rank) - 1;
    place(input);
    result_.places.push_back({QuantPlace::Kind::weight, weight, axis, false, no_value, node.name, false, {}});
    result_.layers.push_back({node.name, input, weight, bias, end});
    place_end(node, end);
  }

  void place_end(const Node& node, ValueId end) {
    if (tensorrt_ || (ends_in_outputs(end) && !is(node, "Conv"))) return;
    place(end);
  }

  void place_joining(const Node& node) {
    const ValueId end = end_of(node, nullptr);
    if (joined_.contains(&node) || !possible(end) || float_.contains(&node)) return;
    std::vector<ValueId> constants;
    for (const ValueId id : node.inputs) {
      if (id == no_value) return;
      if (placed(id)) continue;
      const auto& tensor = graph_.value(id).constant;
      if (!tensor || tensor->dtype != DType::float32 || tensor->elements() == 0 || consumers(id).size() != 1) return;
      constants.push_back(id);
    }
    if (constants.size() == node.inputs.size()) return;
    result_.constants.insert(result_.constants.end(), constants.begin(), constants.end());
    joined_.insert(&node);
    place(end);
  }

  // The value as the layer in front of an Add computes it, or null when it is something else.
  bool computed_by_layer(ValueId id) const {
    const Node* node = producer(id);
    if (node != nullptr && is(*node, "BatchNormalization")) node = producer(node->inputs[0]);
    return node != nullptr && is(*node, products) && result_.find(node->inputs[1]) != nullptr;
  }

  void place_residual(const Node& node) {
    if (!is(node, "Add") || node.inputs.size() != 2) return;
    for (const size_t i : {size_t{0}, size_t{1}}) {
      const ValueId shortcut = node.inputs[i];
      if (constant(shortcut) || !computed_by_layer(node.inputs[1 - i]) || computed_by_layer(shortcut)) continue;
      place(shortcut);
    }
  }

  void place_pointwise(const Node& node) {
    if (placed(node.inputs[0])) place(node.outputs[0]);
  }

  // The outputs that have the numbers of input 0.
  static std::vector<ValueId> moved(const Node& node) {
    if (is(node, "Split")) return node.outputs;
    return {node.outputs[0]};
  }

  void place_moving(const Node& node) {
    if (!placed(node.inputs[0])) return;
    for (const ValueId output : moved(node))
      if (output != no_value && !ends_in_outputs(output)) place(output);
  }

  // In the order of the nodes: the input's origin is known.
  void link_moving(const Node& node) {
    const QuantPlace* source = result_.find(node.inputs[0]);
    if (source == nullptr) return;
    const ValueId origin = source->same_as == no_value ? source->value : source->same_as;
    for (QuantPlace& place : result_.places)
      for (const ValueId output : moved(node))
        if (place.value == output) place.same_as = origin;
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
  const std::set<ValueId>& floats_;
  const bool tensorrt_;
  std::vector<std::vector<const Node*>> consumers_;
  std::vector<const Node*> producers_;
  const Saturation saturation_;
  std::set<const Node*> float_;   // sums and products that are not quantized whatever they read
  std::set<const Node*> joined_;  // sums and products that are quantized
  QuantPlacement result_;
};

}  // namespace

const QuantPlace* QuantPlacement::find(ValueId value) const {
  const auto found =
      std::find_if(places.begin(), places.end(), [&](const QuantPlace& place) { return place.value == value; });
  return found == places.end() ? nullptr : &*found;
}

bool moves_values(const Node& node) { return is(node, moving); }

QuantPlacement place_quantization(const Graph& graph, const std::function<bool(const std::string& weight)>& selected,
                                  QuantProfile profile, const std::set<ValueId>& floats) {
  return Placer(graph, selected, profile, floats).run();
}

}  // namespace pare
