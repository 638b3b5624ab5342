#include "compress/qat_export.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "kernels/quantize.hpp"
#include "src/core/error.hpp"
#include "src/graph/edit.hpp"
#include "src/graph/fake_quant.hpp"

namespace pare {
namespace {

// The codes of a grid as a tensor of the type that stores them.
Tensor code_tensor(DType dtype, const Shape& shape, const std::vector<int>& codes) {
  if (dtype == DType::int4) {
    std::vector<uint8_t> packed((codes.size() + 1) / 2);
    for (size_t i = 0; i < codes.size(); ++i)
      packed[i / 2] = static_cast<uint8_t>(packed[i / 2] | (static_cast<unsigned>(codes[i]) & 15u) << (i % 2 * 4));
    return Tensor::of(dtype, shape, packed);
  }
  return Tensor::of(dtype, shape, std::vector<uint8_t>(codes.begin(), codes.end()));  // the bytes of int8 or uint8
}

struct TypeRange {
  int lowest, highest;
};
TypeRange range_of(DType dtype) {
  if (dtype == DType::int4) return {-8, 7};
  return dtype == DType::int8 ? TypeRange{-128, 127} : TypeRange{0, 255};
}

class Lowering {
 public:
  Lowering(const Graph& graph, const ExportConfig& config) : config_(config) { result_.graph = graph; }

  ExportedGraph run() {
    result_.grids = Json::object();
    Graph& graph = result_.graph;
    const std::vector<Node> nodes = std::move(graph.nodes);
    graph.nodes.clear();
    find_fine_products(nodes);
    for (const Node& node : nodes) {
      if (!is_fake_quant(node)) keep(node);
      else if (graph.value(node.inputs[0]).constant) lower_weight(node);
      else lower_activation(node);
    }
    verify(graph);
    return std::move(result_);
  }

 private:
  const Tensor& constant(ValueId id) const { return *result_.graph.value(id).constant; }

  std::vector<float> steps_of(const Node& node) const {
    const auto steps = constant(node.inputs[1]).as<float>();
    for (const float step : steps)
      if (!(step > 0) || !std::isfinite(step))
        fail_run("{}: a step is {}, expected a positive number", node.label(), step);
    return {steps.begin(), steps.end()};
  }

  int zero_point_of(const Node& node, const FakeQuantForm& form) const {
    if (node.inputs.size() < 3) return form.zero_point;
    const float given = constant(node.inputs[2]).as<float>()[0];
    const float limited = std::min(std::max(given, static_cast<float>(form.lowest)), static_cast<float>(form.highest));
    return static_cast<int>(std::nearbyint(limited));
  }

  // The constant of that name, made on first use: places that share a scale share the tensors.
  ValueId shared(const std::string& name, const Tensor& tensor) {
    const auto [found, added] = shared_.try_emplace(name, no_value);
    if (added) found->second = add_constant_value(result_.graph, name, tensor);
    return found->second;
  }

  ValueId append(Node node, const std::string& output_name, DType dtype) {
    node.outputs = {add_computed_value(result_.graph, output_name, dtype, result_.graph.value(node.inputs[0]).shape)};
    result_.graph.nodes.push_back(node);
    return node.outputs[0];
  }

  static Node make(std::string name, const char* op, std::vector<ValueId> inputs) {
    Node node;
    node.name = std::move(name);
    node.op = op;
    node.inputs = std::move(inputs);
    return node;
  }

  void dequantize(const std::string& name, ValueId codes, ValueId step, ValueId zero, int axis, ValueId output) {
    Node node = make(name, "DequantizeLinear", {codes, step});
    if (zero != no_value) node.inputs.push_back(zero);
    if (axis >= 0) node.attributes["axis"] = int64_t{axis};
    node.outputs = {output};
    result_.graph.nodes.push_back(std::move(node));
  }

  void lower_weight(const Node& node) {
    Graph& graph = result_.graph;
    const FakeQuantForm form = fake_quant_of(node);
    const std::vector<float> steps = steps_of(node);
    const Tensor weight = constant(node.inputs[0]);
    const auto values = weight.as<float>();
    size_t inner = 1;
    for (size_t i = static_cast<size_t>(form.axis) + 1; form.axis >= 0 && i < weight.shape.size(); ++i)
      inner *= static_cast<size_t>(weight.shape[i]);
    std::vector<int> codes(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      const float quotient = values[i] / steps[i / inner % steps.size()];
      if (std::isnan(quotient)) fail_run("{}: a weight is not a number", node.label());
      codes[i] = static_cast<int>(std::clamp<double>(std::nearbyint(quotient), form.lowest, form.highest));
    }
    const bool narrow = config_.int4 && form.lowest >= -8 && form.highest <= 7;
    const DType dtype = narrow ? DType::int4 : DType::int8;
    const std::string name = graph.value(node.inputs[0]).name;
    const Shape step_shape = constant(node.inputs[1]).shape;
    const ValueId zero =
        add_constant_value(graph, name + "/zero_point", code_tensor(dtype, step_shape, std::vector<int>(steps.size())));
    const Tensor stored = code_tensor(dtype, weight.shape, codes);
    Value& value = graph.value(node.inputs[0]);
    value.constant = stored;
    value.dtype = dtype;
    result_.grids[name] = {form.lowest, form.highest};
    inputs_[node.outputs[0]] = steps;
    dequantize(name + "/dequantize", node.inputs[0], node.inputs[1], zero, form.axis, node.outputs[0]);
  }

  void lower_activation(const Node& node) {
    Graph& graph = result_.graph;
    const FakeQuantForm form = fake_quant_of(node);
    const std::vector<float> steps = steps_of(node);
    const DType dtype = form.lowest < 0 ? DType::int8 : DType::uint8;
    const std::string name = graph.value(node.inputs[0]).name, constants = graph.value(node.inputs[1]).name;
    const ValueId zero = shared(constants + "/zero_point", code_tensor(dtype, {}, {zero_point_of(node, form)}));
    ValueId codes = append(make(name + "/quantize", "QuantizeLinear", {node.inputs[0], node.inputs[1], zero}),
                           name + "/codes", dtype);
    if (clips(form)) {
      const ValueId low = shared(constants + "/lowest", code_tensor(dtype, {}, {form.lowest}));
      const ValueId high = shared(constants + "/highest", code_tensor(dtype, {}, {form.highest}));
      codes = append(make(name + "/clip", "Clip", {codes, low, high}), name + "/clipped", dtype);
    }
    inputs_[node.outputs[0]] = steps;
    dequantize(name + "/dequantize", codes, node.inputs[1], zero, -1, node.outputs[0]);
  }

  static bool clips(const FakeQuantForm& form) {
    const TypeRange range = range_of(form.lowest < 0 ? DType::int8 : DType::uint8);
    return form.lowest > range.lowest || form.highest < range.highest;
  }

  // Products that values of fewer than 8 bits are made of, or made from. Their biases stay float: no runtime computes
  // with those values' Clip in integers, and a rounded bias moves the few codes that lie on an edge, which moves more
  // of them in every layer behind.
  void find_fine_products(const std::vector<Node>& nodes) {
    std::map<ValueId, const Node*> producers;
    for (const Node& node : nodes)
      for (const ValueId output : node.outputs) producers[output] = &node;
    for (const Node& node : nodes) {
      if (!is_fake_quant(node) || constant_value(node.inputs[0]) || !clips(fake_quant_of(node))) continue;
      clipped_.insert(node.outputs[0]);
      std::vector<ValueId> open{node.inputs[0]};
      while (!open.empty()) {
        const auto found = producers.find(open.back());
        open.pop_back();
        if (found == producers.end() || is_fake_quant(*found->second)) continue;
        const Node& by = *found->second;
        if (by.op == "Conv" || by.op == "Gemm" || by.op == "MatMul") fine_.insert(by.outputs[0]);
        else open.insert(open.end(), by.inputs.begin(), by.inputs.end());
      }
    }
  }

  bool constant_value(ValueId id) const { return result_.graph.value(id).constant.has_value(); }

  // The node, with its bias as integers where it reads quantized inputs and weights. The bias of a MatMul is the
  // constant of the Add behind it.
  void keep(Node node) {
    if (node.domain.empty() && (node.op == "Conv" || node.op == "Gemm") && node.input(2) != no_value &&
        !fine_.contains(node.outputs[0]))
      node.inputs[2] = integer_bias(node.inputs[2], node.inputs[0], node.inputs[1]);
    if (node.domain.empty() && node.op == "Add") {
      for (size_t i = 0; i < 2; ++i)
        if (const auto product = products_.find(node.inputs[i]);
            product != products_.end() && !fine_.contains(node.inputs[i]))
          node.inputs[1 - i] = integer_bias(node.inputs[1 - i], product->second.first, product->second.second);
    }
    if (node.domain.empty() && node.op == "MatMul") products_[node.outputs[0]] = {node.inputs[0], node.inputs[1]};
    result_.graph.nodes.push_back(std::move(node));
  }

  ValueId integer_bias(ValueId bias, ValueId input, ValueId weight) {
    Graph& graph = result_.graph;
    if (clipped_.contains(input)) return bias;
    const auto input_step = inputs_.find(input), weight_step = inputs_.find(weight);
    if (bias == no_value || !graph.value(bias).constant || graph.value(bias).constant->dtype != DType::float32 ||
        input_step == inputs_.end() || weight_step == inputs_.end() || input_step->second.size() != 1)
      return bias;
    const auto given = constant(bias).as<float>();
    const std::vector<float>& steps = weight_step->second;
    if (constant(bias).shape.size() != 1 || (steps.size() != 1 && steps.size() != given.size())) return bias;
    std::vector<int32_t> codes;
    std::vector<float> scales;
    for (size_t c = 0; c < given.size(); ++c) {
      scales.push_back(input_step->second[0] * steps[steps.size() == 1 ? 0 : c]);
      const double code = std::nearbyint(double{given[c]} / scales.back());
      if (!(std::fabs(code) < std::numeric_limits<int32_t>::max())) return bias;
      codes.push_back(static_cast<int32_t>(code));
    }
    const std::string name = graph.value(bias).name;
    const Shape shape = constant(bias).shape;
    const ValueId integers = add_constant_value(graph, name + "/codes", Tensor::of(DType::int32, shape, codes));
    const ValueId scale = add_constant_value(graph, name + "/step", Tensor::of(DType::float32, shape, scales));
    const ValueId output = add_computed_value(graph, name + "/dequantized", DType::float32, shape);
    dequantize(name + "/dequantize", integers, scale, no_value, 0, output);
    return output;
  }

  const ExportConfig& config_;
  ExportedGraph result_;
  std::map<std::string, ValueId> shared_;
  std::map<ValueId, std::vector<float>> inputs_;             // steps of quantized values
  std::set<ValueId> clipped_;                                // values with fewer codes than their type has
  std::set<ValueId> fine_;                                   // products whose bias is not rounded
  std::map<ValueId, std::pair<ValueId, ValueId>> products_;  // inputs of MatMuls by their output
};

}  // namespace

ExportedGraph lower_fake_quant(const Graph& graph, const ExportConfig& config) { return Lowering(graph, config).run(); }

}  // namespace pare
