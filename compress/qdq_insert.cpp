#include "compress/qdq_insert.hpp"

#include <algorithm>
#include <cmath>

#include "src/core/error.hpp"
#include "src/graph/edit.hpp"

namespace pare {
namespace {

constexpr double largest_bias_code = 1 << 30;

DType code_type(const ActivationCodes& codes) { return codes.lowest < 0 ? DType::int8 : DType::uint8; }

Tensor code_tensor(DType type, int code) { return Tensor::of<uint8_t>(type, {}, {static_cast<uint8_t>(code)}); }

int place_of(const Graph& graph, const Node& node) { return static_cast<int>(&node - graph.nodes.data()); }

class Inserter {
 public:
  Inserter(Graph& graph, const QuantPlacement& placement, const QuantizedValues& values)
      : graph_(graph), placement_(placement), values_(values), producers_(graph.values.size(), -1) {
    for (const Node& node : graph.nodes)
      for (const ValueId output : node.outputs)
        if (output != no_value) producers_[static_cast<size_t>(output)] = place_of(graph, node);
  }

  void run() {
    for (const QuantLayer& layer : placement_.layers)
      if (values_.integer_bias) quantize_bias(layer);
    for (const QuantPlace& place : placement_.places)
      place.kind == QuantPlace::Kind::weight ? quantize_weight(place) : quantize_activation(place);
    for (const ValueId constant : placement_.constants) quantize_constant(constant);
    insertions_.apply(graph_);
    verify(graph_);
  }

 private:
  ValueId origin_of(const QuantPlace& place) const { return place.same_as == no_value ? place.value : place.same_as; }

  const ActivationCodes& codes_of_place(const QuantPlace& place) const {
    const auto found = values_.activations.find(origin_of(place));
    if (found == values_.activations.end())
      fail_run("insert_qdq: value '{}' has no scale", graph_.value(place.value).name);
    return found->second;
  }

  // The constants of an activation's scale and zero point, shared by all places that are the same.
  std::pair<ValueId, ValueId> grid_of(ValueId origin, const ActivationCodes& codes) {
    const auto [entry, added] = grids_.try_emplace(origin);
    if (added) {
      const std::string name = graph_.value(origin).name;
      entry->second.first = add_constant_value(graph_, name + "_scale", scalar_tensor(codes.scale));
      entry->second.second =
          add_constant_value(graph_, name + "_zero_point", code_tensor(code_type(codes), codes.zero_point));
    }
    return entry->second;
  }

  void replace_readers(ValueId from, ValueId to) {
    for (Node& node : graph_.nodes)
      for (ValueId& input : node.inputs)
        if (input == from) input = to;
  }

  bool is_output(ValueId id) const {
    return std::any_of(graph_.outputs.begin(), graph_.outputs.end(),
                       [&](const Port& port) { return port.value == id; });
  }

  void quantize_activation(const QuantPlace& place) {
    const ActivationCodes& codes = codes_of_place(place);
    const auto [scale, zero_point] = grid_of(origin_of(place), codes);
    const ValueId value = place.value;
    const std::string name = graph_.value(value).name;
    const int producer = producers_[static_cast<size_t>(value)];
    const std::optional<Shape> shape = graph_.value(value).shape;
    ValueId source = value, result = no_value;
    if (producer >= 0 && is_output(value)) {
      // The output keeps its name; what computes it gets another one.
      source = add_computed_value(graph_, name + "_float", DType::float32, shape);
      result = value;
      auto& outputs = graph_.nodes[static_cast<size_t>(producer)].outputs;
      std::replace(outputs.begin(), outputs.end(), value, source);
    } else {
      result = add_computed_value(graph_, name + "_dequantized", DType::float32, shape);
      replace_readers(value, result);
    }
    ValueId quantized = add_computed_value(graph_, name + "_quantized", code_type(codes), shape);
    auto& target = insertions_.before[static_cast<size_t>(producer + 1)];
    target.push_back({name + "_QuantizeLinear", "", "QuantizeLinear", {source, scale, zero_point}, {quantized}, {}});
    const int all_codes = 256;
    if (codes.highest - codes.lowest + 1 < all_codes) {
      const ValueId clipped = add_computed_value(graph_, name + "_clipped", code_type(codes), shape);
      target.push_back({name + "_Clip",
                        "",
                        "Clip",
                        {quantized, limit(codes, codes.lowest), limit(codes, codes.highest)},
                        {clipped},
                        {}});
      quantized = clipped;
    }
    target.push_back(
        {name + "_DequantizeLinear", "", "DequantizeLinear", {quantized, scale, zero_point}, {result}, {}});
  }

  ValueId limit(const ActivationCodes& codes, int code) {
    const auto [entry, added] = limits_.try_emplace({code_type(codes), code}, no_value);
    if (added)
      entry->second = add_constant_value(graph_, fmt::format("code_{}", code), code_tensor(code_type(codes), code));
    return entry->second;
  }

  void quantize_weight(const QuantPlace& place) {
    const auto found = values_.weights.find(place.value);
    const std::string name = graph_.value(place.value).name;
    if (found == values_.weights.end()) fail_run("insert_qdq: weight '{}' has no codes", name);
    const EncodedWeight& weight = found->second;
    const Tensor scales = scale_tensor(weight);
    const ValueId codes = add_constant_value(graph_, name + "_codes", codes_tensor(weight, values_.int4));
    const ValueId scale = add_constant_value(graph_, name + "_scale", scales);
    // Explicit, and of the scale's shape: runtimes ask for it.
    const DType type = graph_.value(codes).constant->dtype;
    const std::vector<int8_t> zeros(static_cast<size_t>((scales.elements() * dtype_bits(type) + 7) / 8), 0);
    const ValueId zero_point = add_constant_value(graph_, name + "_zero_point", Tensor::of(type, scales.shape, zeros));
    const ValueId result = add_computed_value(graph_, name + "_dequantized", DType::float32, weight.groups.shape);
    const size_t reader = first_reader(place.value);
    insertions_.before[reader].push_back(
        dequantize(name, {codes, scale, zero_point}, result, weight.groups.whole ? -1 : place.axis));
    replace_readers(place.value, result);
  }

  static Node dequantize(const std::string& name, std::vector<ValueId> inputs, ValueId result, int axis) {
    Node node{name + "_DequantizeLinear", "", "DequantizeLinear", std::move(inputs), {result}, {}};
    if (axis >= 0) node.attributes["axis"] = int64_t{axis};
    return node;
  }

  size_t first_reader(ValueId id) const {
    for (size_t i = 0; i < graph_.nodes.size(); ++i)
      if (std::find(graph_.nodes[i].inputs.begin(), graph_.nodes[i].inputs.end(), id) != graph_.nodes[i].inputs.end())
        return i;
    fail_run("insert_qdq: nothing reads '{}'", graph_.value(id).name);
  }

  void quantize_bias(const QuantLayer& layer) {
    const QuantPlace* input = placement_.find(layer.input);
    const auto weight = values_.weights.find(layer.weight);
    if (layer.bias == no_value || input == nullptr || weight == values_.weights.end()) return;
    const Tensor& tensor = *graph_.value(layer.bias).constant;
    const auto channels = static_cast<int64_t>(weight->second.scale.size());
    const bool whole = weight->second.groups.whole;
    if (tensor.dtype != DType::float32 || tensor.shape.size() != 1 || (!whole && tensor.elements() != channels)) return;
    const std::string name = graph_.value(layer.bias).name;
    const float input_scale = codes_of_place(*input).scale;
    const auto bias = tensor.as<float>();
    std::vector<float> scales;
    for (const float scale : weight->second.scale) scales.push_back(input_scale * scale);
    std::vector<int32_t> codes;
    for (size_t c = 0; c < bias.size(); ++c) {
      if (!std::isfinite(bias[c])) fail_input("tensor '{}': element {} is {}", name, c, bias[c]);
      const double code = std::nearbyint(double{bias[c]} / double{scales[whole ? 0 : c]});
      codes.push_back(static_cast<int32_t>(std::clamp(code, -2147483648.0, 2147483647.0)));
    }
    const Shape shape = tensor.shape;
    const ValueId quantized = add_constant_value(graph_, name + "_codes", Tensor::of(DType::int32, shape, codes));
    const ValueId scale = add_constant_value(graph_, name + "_scale",
                                             Tensor::of(DType::float32, whole ? Shape{} : Shape{channels}, scales));
    const ValueId result = add_computed_value(graph_, name + "_dequantized", DType::float32, shape);
    const size_t reader = bias_reader(layer);
    insertions_.before[reader].push_back(dequantize(name, {quantized, scale}, result, whole ? -1 : 0));
    auto& inputs = graph_.nodes[reader].inputs;
    std::replace(inputs.begin(), inputs.end(), layer.bias, result);
  }

  // The node that adds the layer's bias: the one that reads its weight, or the Add behind it.
  size_t bias_reader(const QuantLayer& layer) const {
    const size_t product = first_reader(layer.weight);
    const Node& node = graph_.nodes[product];
    if (node.op != "MatMul") return product;
    return first_reader(node.outputs[0]);
  }

  void quantize_constant(ValueId constant) {
    const Tensor tensor = *graph_.value(constant).constant;
    const std::string name = graph_.value(constant).name;
    const std::vector<float> values = finite_floats(tensor, name);
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    CodeForm form;
    form.is_signed = !values_.activations.empty() && values_.activations.begin()->second.lowest < 0;
    const ActivationCodes codes = codes_of({std::min(*low, 0.0f), std::max(*high, 0.0f)}, *low >= 0, form);
    std::vector<uint8_t> integers(values.size());
    const kernels::ScaleLayout layout{{1, tensor.elements(), 1}, std::max<int64_t>(1, tensor.elements()), false, false};
    const auto zero = static_cast<uint8_t>(codes.zero_point);
    kernels::quantize({}, values.data(), layout, &codes.scale, &zero,
                      form.is_signed ? kernels::IntegerType::int8 : kernels::IntegerType::uint8, integers.data());
    const ValueId quantized =
        add_constant_value(graph_, name + "_codes", Tensor::of(code_type(codes), tensor.shape, integers));
    const auto [scale, zero_point] = grid_of(constant, codes);
    const ValueId result = add_computed_value(graph_, name + "_dequantized", DType::float32, tensor.shape);
    insertions_.before[first_reader(constant)].push_back(dequantize(name, {quantized, scale, zero_point}, result, -1));
    replace_readers(constant, result);
  }

  Graph& graph_;
  const QuantPlacement& placement_;
  const QuantizedValues& values_;
  std::vector<int> producers_;  // index of the node that computes each value; -1: none
  std::map<ValueId, std::pair<ValueId, ValueId>> grids_;
  std::map<std::pair<DType, int>, ValueId> limits_;
  NodeInsertions insertions_;
};

}  // namespace

void insert_qdq(Graph& graph, const QuantPlacement& placement, const QuantizedValues& values) {
  Inserter(graph, placement, values).run();
}

std::vector<float> least_weight_scales(const Graph& graph, const QuantLayer& layer, float input_scale) {
  if (layer.bias == no_value) return {};
  std::vector<float> scales;
  for (const double bias : to_double(*graph.value(layer.bias).constant))
    scales.push_back(static_cast<float>(std::abs(bias) / (double{input_scale} * largest_bias_code)));
  return scales;
}

}  // namespace pare
