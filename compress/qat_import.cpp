#include <algorithm>
#include <cstring>
#include <set>

#include "compress/qat_export.hpp"
#include "src/core/error.hpp"
#include "src/graph/edit.hpp"
#include "src/graph/fake_quant.hpp"

namespace pare {
namespace {

bool is(const Node& node, std::string_view op) { return node.domain.empty() && node.op == op; }

bool is_code_type(DType dtype) {
  return dtype == DType::int8 || dtype == DType::uint8 || dtype == DType::int4 || dtype == DType::uint4;
}

// Integer codes of 8 or 4 bits.
std::vector<int> codes_of(const Tensor& tensor) {
  std::vector<int> codes(static_cast<size_t>(tensor.elements()));
  const auto bytes = tensor.as<uint8_t>();
  for (size_t i = 0; i < codes.size(); ++i) {
    if (dtype_bits(tensor.dtype) == 4) codes[i] = bytes[i / 2] >> (i % 2 * 4) & 15;
    else codes[i] = tensor.dtype == DType::int8 ? static_cast<int8_t>(bytes[i]) : bytes[i];
    if (tensor.dtype == DType::int4 && codes[i] > 7) codes[i] -= 16;
  }
  return codes;
}

class Raising {
 public:
  Raising(const Graph& graph, const Json& grids)
      : graph_(graph), grids_(grids), consumers_(consumers_of(graph)), producers_(graph.values.size(), nullptr) {
    for (const Node& node : graph.nodes)
      for (const ValueId output : node.outputs)
        if (output != no_value) producers_[static_cast<size_t>(output)] = &node;
  }

  Graph run() {
    Graph result = graph_;
    result.nodes.clear();
    for (const Node& node : graph_.nodes) {
      std::optional<Node> raised;
      if (is(node, "DequantizeLinear") && node.integer("block_size", 0) == 0 && float_steps(node))
        raised = raise(node, result);
      if (raised) result.nodes.push_back(std::move(*raised));
      else if (!dropped_.contains(&node)) result.nodes.push_back(node);
    }
    // A FakeQuant has the name of the QuantizeLinear that it replaces.
    std::erase_if(result.nodes, [&](const Node& node) { return gone_.contains(node.name) && !is_fake_quant(node); });
    for (const ValueId id : forgotten_) forget(result, id);
    for (const ValueId id : biases_) name_bias(result, id);
    verify(result);
    return result;
  }

 private:
  const Tensor* constant(ValueId id) const {
    return id != no_value && graph_.value(id).constant ? &*graph_.value(id).constant : nullptr;
  }
  bool float_steps(const Node& node) const {
    const Tensor* steps = constant(node.input(1));
    return steps != nullptr && steps->dtype == DType::float32 && steps->shape.size() <= 1;
  }
  size_t readers(ValueId id) const { return consumers_[static_cast<size_t>(id)].size(); }

  // The zero points as integers; none counts as zeros. nullopt when they are computed.
  std::optional<std::vector<int>> zeros_of(const Node& node) const {
    if (node.input(2) == no_value) return std::vector<int>{0};
    const Tensor* zeros = constant(node.input(2));
    return zeros != nullptr && is_code_type(zeros->dtype) ? std::optional(codes_of(*zeros)) : std::nullopt;
  }

  // The node that takes the place of a DequantizeLinear; nullopt when it stays or (a bias) leaves nothing.
  std::optional<Node> raise(const Node& node, Graph& result) {
    const Tensor* codes = constant(node.inputs[0]);
    if (codes == nullptr) return raise_activation(node, result);
    if (readers(node.inputs[0]) != 1) return std::nullopt;
    if (codes->dtype == DType::int32) return raise_bias(node, *codes, result);
    return is_code_type(codes->dtype) ? raise_weight(node, *codes, result) : std::nullopt;
  }

  std::optional<Node> raise_bias(const Node& node, const Tensor& codes, Graph& result) {
    const auto steps = constant(node.inputs[1])->as<float>();
    const auto integers = codes.as<int32_t>();
    if (codes.shape.size() != 1 || (steps.size() != 1 && steps.size() != integers.size()) || node.input(2) != no_value)
      return std::nullopt;
    std::vector<float> values;
    for (size_t i = 0; i < integers.size(); ++i)
      values.push_back(static_cast<float>(integers[i]) * steps[steps.size() == 1 ? 0 : i]);
    Value& value = result.value(node.outputs[0]);
    value.constant = Tensor::of(DType::float32, codes.shape, values);
    value.dtype = DType::float32;
    dropped_.insert(&node);
    forgotten_.insert({node.inputs[0], node.inputs[1]});
    biases_.push_back(node.outputs[0]);
    return std::nullopt;
  }

  std::optional<Node> raise_weight(const Node& node, const Tensor& codes, Graph& result) {
    const auto zeros = zeros_of(node);
    if (!zeros || std::any_of(zeros->begin(), zeros->end(), [](int zero) { return zero != 0; })) return std::nullopt;
    const Tensor& step_tensor = *constant(node.inputs[1]);
    const auto steps = step_tensor.as<float>();
    const bool per_channel = step_tensor.shape.size() == 1;
    const int64_t axis = node.integer("axis", 1), rank = static_cast<int64_t>(codes.shape.size());
    const int64_t place = axis < 0 ? axis + rank : axis;
    if (per_channel && (place >= rank || codes.shape[static_cast<size_t>(place)] != step_tensor.shape[0]))
      return std::nullopt;
    FakeQuantForm form;
    form.axis = per_channel ? static_cast<int>(place) : -1;
    const std::vector<int> integers = codes_of(codes);
    size_t inner = 1;
    for (int64_t i = place + 1; per_channel && i < rank; ++i)
      inner *= static_cast<size_t>(codes.shape[static_cast<size_t>(i)]);
    std::vector<float> values;
    for (size_t i = 0; i < integers.size(); ++i)
      values.push_back(static_cast<float>(integers[i]) * steps[i / inner % steps.size()]);
    const std::string& name = graph_.value(node.inputs[0]).name;
    set_grid(form, codes.dtype, integers, name);
    Value& value = result.value(node.inputs[0]);
    value.constant = Tensor::of(DType::float32, codes.shape, values);
    value.dtype = DType::float32;
    if (node.input(2) != no_value) forgotten_.insert(node.inputs[2]);
    return fake_quant_node(name + "/quantize", form, {node.inputs[0], node.inputs[1]}, node.outputs[0]);
  }

  void set_grid(FakeQuantForm& form, DType dtype, const std::vector<int>& codes, const std::string& name) const {
    if (grids_.is_object() && grids_.contains(name)) {
      form.lowest = grids_.at(name).at(0);
      form.highest = grids_.at(name).at(1);
      return;
    }
    form.lowest = dtype == DType::int8 ? -128 : dtype == DType::int4 ? -8 : 0;
    form.highest = dtype == DType::int8 ? 127 : dtype == DType::uint8 ? 255 : dtype == DType::int4 ? 7 : 15;
    if (form.lowest < 0 && std::find(codes.begin(), codes.end(), form.lowest) == codes.end()) ++form.lowest;
  }

  std::optional<Node> raise_activation(const Node& node, Graph& result) {
    const Node* before = producers_[static_cast<size_t>(node.inputs[0])];
    const Node* clip = nullptr;
    if (before != nullptr && is(*before, "Clip") && readers(node.inputs[0]) == 1) {
      clip = before;
      before = producers_[static_cast<size_t>(clip->inputs[0])];
    }
    if (before == nullptr || !is(*before, "QuantizeLinear") || readers(before->outputs[0]) != 1) return std::nullopt;
    const auto zeros = zeros_of(node), other = zeros_of(*before);
    const Tensor &step = *constant(node.inputs[1]), *quantizing = constant(before->input(1));
    if (!zeros || zeros != other || zeros->size() != 1 || step.elements() != 1 || quantizing == nullptr ||
        !std::ranges::equal(step.data.span(), quantizing->data.span()))
      return std::nullopt;
    const Tensor* zero_tensor = constant(node.input(2));
    const DType dtype = zero_tensor != nullptr ? zero_tensor->dtype : DType::uint8;  // the default of QuantizeLinear
    FakeQuantForm form;
    form.lowest = dtype == DType::int8 ? -128 : dtype == DType::int4 ? -8 : 0;
    form.highest = dtype == DType::int8 ? 127 : dtype == DType::uint8 ? 255 : dtype == DType::int4 ? 7 : 15;
    if (clip != nullptr) {
      const Tensor *low = constant(clip->input(1)), *high = constant(clip->input(2));
      if (low == nullptr || high == nullptr || !is_code_type(low->dtype) || !is_code_type(high->dtype))
        return std::nullopt;
      form.lowest = codes_of(*low)[0];
      form.highest = codes_of(*high)[0];
      gone_.insert(clip->name);
      forgotten_.insert({clip->inputs[0], clip->inputs[1], clip->inputs[2]});
    }
    form.zero_point = zeros->front();
    gone_.insert(before->name);
    forgotten_.insert(node.inputs[0]);
    if (node.input(2) != no_value) forgotten_.insert(node.inputs[2]);
    std::vector<ValueId> inputs{before->inputs[0], node.inputs[1]};
    if (form.zero_point != form.lowest) inputs.push_back(learned_zero(node.inputs[1], form.zero_point, result));
    const std::string name = graph_.value(before->inputs[0]).name + "/quantize";
    return fake_quant_node(name, form, std::move(inputs), node.outputs[0]);
  }

  // The parameter that starts at the zero point; places that share a step share it.
  ValueId learned_zero(ValueId step, int zero_point, Graph& result) {
    const auto [found, added] = zeros_.try_emplace(step, no_value);
    if (added) {
      std::string name = graph_.value(step).name;
      if (name.ends_with("/step")) name.resize(name.size() - 5);
      found->second = add_constant_value(result, name + "/zero", scalar_tensor(static_cast<float>(zero_point)));
    }
    return found->second;
  }

  // Makes the value's name free where nothing reads it any more.
  static void forget(Graph& graph, ValueId id) {
    for (const Node& node : graph.nodes)
      if (std::find(node.inputs.begin(), node.inputs.end(), id) != node.inputs.end()) return;
    Value& value = graph.value(id);
    graph.by_name.erase(value.name);
    value.name.clear();
    value.constant.reset();
  }

  // Gives a bias the name that it had before it became integers, so that writing again gives the same names.
  static void name_bias(Graph& graph, ValueId id) {
    constexpr std::string_view suffix = "/dequantized";
    std::string name = graph.value(id).name;
    if (!name.ends_with(suffix)) return;
    name.resize(name.size() - suffix.size());
    if (const ValueId other = graph.find(name); other != no_value) forget(graph, other);
    if (graph.find(name) != no_value) return;
    graph.by_name.erase(graph.value(id).name);
    graph.by_name[name] = id;
    graph.value(id).name = std::move(name);
  }

  const Graph& graph_;
  const Json& grids_;
  std::vector<std::vector<const Node*>> consumers_;
  std::vector<const Node*> producers_;
  std::set<const Node*> dropped_;
  std::set<std::string> gone_;        // nodes that became part of others
  std::set<ValueId> forgotten_;       // values that only those read
  std::vector<ValueId> biases_;       // that were integers
  std::map<ValueId, ValueId> zeros_;  // by step
};

}  // namespace

Graph raise_fake_quant(const Graph& graph, const Json& grids) { return Raising(graph, grids).run(); }

}  // namespace pare
