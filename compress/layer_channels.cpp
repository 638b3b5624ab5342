#include "compress/layer_channels.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

namespace pare {
namespace {

bool is_own(const std::vector<std::vector<const Node*>>& consumers, ValueId id) {
  return consumers[static_cast<size_t>(id)].size() == 1;
}

const Tensor* float_constant(const Graph& graph, ValueId id) {
  if (id == no_value || !graph.value(id).constant || graph.value(id).constant->dtype != DType::float32) return nullptr;
  return &*graph.value(id).constant;
}

bool is_output(const Graph& graph, ValueId id) {
  return std::any_of(graph.outputs.begin(), graph.outputs.end(), [&](const Port& port) { return port.value == id; });
}

// Calls `see` for each element of the weight with its output and input channel.
void for_each_weight(const Node& node, const Shape& shape,
                     const std::function<void(size_t element, size_t output, size_t input)>& see) {
  size_t size = 1;
  for (const int64_t length : shape) size *= static_cast<size_t>(length);
  const auto rows = static_cast<size_t>(shape[0]), columns = static_cast<size_t>(shape[1]);
  if (node.op == "Conv") {
    const size_t inner = size / (rows * columns);
    const size_t group_outputs = rows / static_cast<size_t>(node.integer("group", 1));
    for (size_t e = 0; e < size; ++e) {
      const size_t output = e / (columns * inner);
      see(e, output, output / group_outputs * columns + e / inner % columns);
    }
    return;
  }
  const bool transposed = node.op == "Gemm" && node.integer("transB", 0) != 0;
  for (size_t e = 0; e < size; ++e) transposed ? see(e, e / columns, e % columns) : see(e, e % columns, e / columns);
}

void scale_weight(Graph& graph, const LayerChannels& layer,
                  const std::function<double(size_t output, size_t input)>& factor) {
  const Node& node = graph.nodes[layer.node];
  Tensor& tensor = *graph.value(node.inputs[1]).constant;
  std::vector<float> values = tensor.as<float>();
  for_each_weight(node, tensor.shape, [&](size_t e, size_t output, size_t input) {
    values[e] = static_cast<float>(double{values[e]} * factor(output, input));
  });
  tensor = Tensor::of(DType::float32, tensor.shape, values);
}

}  // namespace

std::optional<LayerChannels> layer_channels(const Graph& graph, const std::vector<std::vector<const Node*>>& consumers,
                                            size_t node_index) {
  const Node& node = graph.nodes[node_index];
  const bool conv = node.op == "Conv", gemm = node.op == "Gemm", matmul = node.op == "MatMul";
  if (!node.domain.empty() || !(conv || gemm || matmul) || node.inputs.size() < 2 ||
      graph.value(node.inputs[0]).constant)
    return std::nullopt;
  const Tensor* weight = float_constant(graph, node.inputs[1]);
  if (weight == nullptr || !is_own(consumers, node.inputs[1]) || weight->elements() == 0 ||
      (conv ? weight->shape.size() < 3 : weight->shape.size() != 2) || (gemm && node.integer("transA", 0) != 0))
    return std::nullopt;
  const int64_t group = conv ? node.integer("group", 1) : 1;
  const bool outputs_first = conv || (gemm && node.integer("transB", 0) != 0);
  LayerChannels layer{node_index,
                      node.input(2),
                      node.outputs[0],
                      weight->shape[outputs_first ? 0 : 1],
                      weight->shape[outputs_first ? 1 : 0] * group,
                      conv && weight->shape[1] == 1 && group > 1};
  if (matmul) {
    const auto& readers = consumers[static_cast<size_t>(layer.result)];
    if (readers.size() == 1 && !is_output(graph, layer.result) && readers[0]->op == "Add" &&
        readers[0]->domain.empty()) {
      const ValueId other = readers[0]->inputs[readers[0]->inputs[0] == layer.result ? 1 : 0];
      const Tensor* bias = float_constant(graph, other);
      if (bias != nullptr && bias->shape == Shape{layer.outputs}) {
        layer.bias = other;
        layer.result = readers[0]->outputs[0];
      }
    }
  }
  if (layer.bias == no_value) return layer;
  const Tensor* bias = float_constant(graph, layer.bias);
  if (bias == nullptr || bias->shape != Shape{layer.outputs} || !is_own(consumers, layer.bias)) return std::nullopt;
  return layer;
}

std::vector<double> output_absmax(const Graph& graph, const LayerChannels& layer) {
  const Node& node = graph.nodes[layer.node];
  const Tensor& tensor = *graph.value(node.inputs[1]).constant;
  const std::vector<float> values = tensor.as<float>();
  std::vector<double> largest(static_cast<size_t>(layer.outputs), 0.0);
  for_each_weight(node, tensor.shape, [&](size_t e, size_t output, size_t) {
    largest[output] = std::max(largest[output], std::abs(double{values[e]}));
  });
  return largest;
}

std::vector<double> input_absmax(const Graph& graph, const LayerChannels& layer) {
  const Node& node = graph.nodes[layer.node];
  const Tensor& tensor = *graph.value(node.inputs[1]).constant;
  const std::vector<float> values = tensor.as<float>();
  std::vector<double> largest(static_cast<size_t>(layer.inputs), 0.0);
  for_each_weight(node, tensor.shape, [&](size_t e, size_t, size_t input) {
    largest[input] = std::max(largest[input], std::abs(double{values[e]}));
  });
  return largest;
}

void scale_outputs(Graph& graph, const LayerChannels& layer, const std::vector<double>& factors) {
  scale_weight(graph, layer, [&](size_t output, size_t) { return factors[output]; });
  if (layer.bias == no_value) return;
  Tensor& tensor = *graph.value(layer.bias).constant;
  std::vector<float> values = tensor.as<float>();
  for (size_t c = 0; c < values.size(); ++c) values[c] = static_cast<float>(double{values[c]} * factors[c]);
  tensor = Tensor::of(DType::float32, tensor.shape, values);
}

void scale_inputs(Graph& graph, const LayerChannels& layer, const std::vector<double>& factors) {
  const size_t spread = static_cast<size_t>(layer.inputs) / factors.size();
  scale_weight(graph, layer, [&](size_t, size_t input) { return factors[input / spread]; });
}

}  // namespace pare
