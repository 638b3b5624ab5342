#include "compress/bias_correction.hpp"

#include <algorithm>
#include <numeric>

#include <ATen/ops/sum.h>
#include <ATen/ops/zeros_like.h>

#include "src/exec/tensors.hpp"
#include "src/graph/edit.hpp"

namespace pare {
namespace {

// The sum over each channel.
at::Tensor channel_sums(const at::Tensor& value, int64_t axis) {
  std::vector<int64_t> others(static_cast<size_t>(value.dim()));
  std::iota(others.begin(), others.end(), int64_t{0});
  others.erase(others.begin() + axis);
  return others.empty() ? value.clone() : at::sum(value, others);
}

// A number a channel, in a shape that broadcasts to the value's.
at::Tensor along(const at::Tensor& channels, const at::Tensor& value, int64_t axis) {
  std::vector<int64_t> sizes(static_cast<size_t>(value.dim()), 1);
  sizes[static_cast<size_t>(axis)] = channels.numel();
  return channels.view(sizes);
}

const Node* node_named(const Graph& graph, const std::string& name) {
  const auto found =
      std::find_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) { return node.name == name; });
  return found == graph.nodes.end() ? nullptr : &*found;
}

const Node* only_reader(const Graph& graph, ValueId value) {
  const Node* reader = nullptr;
  for (const Node& node : graph.nodes)
    for (const ValueId input : node.inputs)
      if (input == value) {
        if (reader != nullptr) return nullptr;
        reader = &node;
      }
  return reader;
}

// What the layer computes with its bias: the result of the node that reads the bias.
ValueId result_of(const Graph& graph, const std::string& bias) {
  const ValueId id = graph.find(bias);
  const Node* reader = id == no_value || !graph.value(id).constant ? nullptr : only_reader(graph, id);
  return reader == nullptr ? no_value : reader->outputs[0];
}

void watch(Observation& observation, ValueId id) {
  if (observation.watched.size() <= static_cast<size_t>(id)) observation.watched.resize(static_cast<size_t>(id) + 1);
  observation.watched[static_cast<size_t>(id)] = true;
}

}  // namespace

int add_missing_biases(Graph& graph) {
  int added = 0;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const bool conv = node.op == "Conv";
    if (!node.domain.empty() || !(conv || node.op == "Gemm") || node.inputs.size() < 2 || node.input(2) != no_value)
      continue;
    const auto& weight = graph.value(node.inputs[1]).constant;
    if (!weight || weight->dtype != DType::float32 || weight->shape.size() < 2) continue;
    const int64_t outputs = weight->shape[conv || node.integer("transB", 0) != 0 ? 0 : 1];
    const ValueId bias = add_constant_value(
        graph, node.name + "_bias",
        Tensor::of(DType::float32, {outputs}, std::vector<float>(static_cast<size_t>(outputs), 0.0f)));
    graph.nodes[i].inputs.resize(3, no_value);
    graph.nodes[i].inputs[2] = bias;
    ++added;
  }
  return added;
}

BiasCorrection::BiasCorrection(const Graph& graph, const Graph& quantized, const QuantPlacement& placement,
                               at::Device device)
    : float_executor_(graph),
      quantized_executor_(quantized),
      float_parameters_(graph, device, Training::off),
      quantized_parameters_(quantized, device, Training::off) {
  const Saturation saturation(graph);
  for (const QuantLayer& place : placement.layers) {
    if (place.bias == no_value) continue;
    const Value& bias = graph.value(place.bias);
    const Node* node = node_named(graph, place.name);
    const ValueId before = result_of(graph, bias.name), after = result_of(quantized, bias.name);
    if (node == nullptr || before == no_value || after == no_value || bias.constant->dtype != DType::float32 ||
        bias.constant->shape.size() != 1)
      continue;
    Layer layer;
    layer.name = place.name;
    layer.bias = place.bias;
    layer.axis = node->op == "Conv" || node->op == "ConvTranspose" ? 1 : -1;
    layer.original = to_aten(*bias.constant).to(device);
    layer.applied = quantized_parameters_.writable(quantized.find(bias.name));
    layer.error = at::zeros_like(layer.original);
    layer.squares = at::zeros_like(layer.original);
    layer.count = at::zeros_like(layer.original);
    layer.limits = saturation.limits(before);
    float_results_[before] = quantized_results_[after] = layers_.size();
    watch(float_observation_, before);
    watch(quantized_observation_, after);
    layers_.push_back(std::move(layer));
  }
  float_observation_.seen = [this](ValueId id, const at::Tensor& value) { see_float(id, value); };
  quantized_observation_.seen = [this](ValueId id, const at::Tensor& value) { see_quantized(id, value); };
}

at::Tensor BiasCorrection::Layer::corrected() const {
  const at::Tensor values = count.clamp_min(1), mean = error.div(values);
  const at::Tensor systematic = mean.square().ge(squares.div(values).mul(least_mean_share));
  return original.sub(mean.mul(systematic));
}

void BiasCorrection::see_float(ValueId id, const at::Tensor& value) {
  layers_[float_results_.at(id)].expected = value.to(at::kFloat, false, true);
}

void BiasCorrection::see_quantized(ValueId id, const at::Tensor& value) {
  Layer& layer = layers_[quantized_results_.at(id)];
  const int64_t axis = layer.axis < 0 ? value.dim() - 1 : layer.axis;
  if (!layer.expected.defined() || layer.expected.sizes() != value.sizes() || axis >= value.dim() ||
      value.size(axis) != layer.original.numel())
    return;
  const auto counts = [&](const at::Tensor& values) {
    return values.gt(layer.limits.low).logical_and(values.lt(layer.limits.high));
  };
  const auto limited = [&](const at::Tensor& values) { return values.clamp(layer.limits.low, layer.limits.high); };
  const at::Tensor counted = counts(value).logical_or(counts(layer.expected)).to(at::kFloat);
  const at::Tensor error = limited(value)
                               .sub(limited(layer.expected))
                               .sub(along(layer.applied.sub(layer.original), value, axis))
                               .mul(counted);
  layer.error.add_(channel_sums(error, axis));
  layer.squares.add_(channel_sums(error.square(), axis));
  layer.count.add_(channel_sums(counted, axis));
  layer.expected.reset();
  if (!follows_) return;
  // At once, so that the layers behind are measured as they will be.
  const at::Tensor corrected = layer.corrected();
  value.add_(along(corrected.sub(layer.applied), value, axis));
  layer.applied.copy_(corrected);
}

void BiasCorrection::add(std::span<const at::Tensor> inputs) {
  const c10::AutoGradMode no_gradients(false);
  float_executor_.run(float_parameters_, inputs, false, &float_observation_);
  quantized_executor_.run(quantized_parameters_, inputs, false, &quantized_observation_);
}

void BiasCorrection::next_pass() {
  follows_ = false;
  for (Layer& layer : layers_) {
    layer.error.zero_();
    layer.squares.zero_();
    layer.count.zero_();
  }
}

std::map<ValueId, BiasCorrection::Corrected> BiasCorrection::biases() const {
  std::map<ValueId, Corrected> corrected;
  for (const Layer& layer : layers_) {
    if (!(layer.count.sum().item<double>() > 0)) continue;
    const at::Tensor bias = layer.corrected();
    corrected[layer.bias] = {layer.name, from_aten(bias, DType::float32),
                             bias.sub(layer.original).abs().max().item<double>()};
  }
  return corrected;
}

}  // namespace pare
