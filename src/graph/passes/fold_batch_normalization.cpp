#include "src/graph/passes/fold_batch_normalization.hpp"

#include <cmath>

namespace pare {
namespace {

// A constant fp32 input as doubles; empty when it is computed, of another type, or left out.
std::vector<double> constant_values(const Graph& graph, ValueId id) {
  if (id == no_value || !graph.value(id).constant || graph.value(id).constant->dtype != DType::float32) return {};
  return to_double(*graph.value(id).constant);
}

// y = x * scale + offset for each channel.
struct ChannelMap {
  std::vector<double> scale;
  std::vector<double> offset;
};

std::optional<ChannelMap> channel_map(const Graph& graph, const Node& node, size_t channels) {
  ChannelMap map{constant_values(graph, node.input(1)), constant_values(graph, node.input(2))};
  const auto mean = constant_values(graph, node.input(3));
  const auto variance = constant_values(graph, node.input(4));
  for (const auto* values :
       std::initializer_list<const std::vector<double>*>{&map.scale, &map.offset, &mean, &variance})
    if (values->size() != channels) return std::nullopt;
  const double epsilon = node.real("epsilon", 1e-5f);
  for (size_t c = 0; c < channels; ++c) {
    map.scale[c] /= std::sqrt(variance[c] + epsilon);
    map.offset[c] -= mean[c] * map.scale[c];
  }
  return map;
}

ValueId add_constant(Graph& graph, Shape shape, const std::vector<double>& values) {
  const ValueId id = graph.add_value("");
  Value& value = graph.value(id);
  value.dtype = DType::float32;
  value.shape = shape;
  value.constant = Tensor::of(DType::float32, std::move(shape), std::vector<float>(values.begin(), values.end()));
  return id;
}

bool fold(Graph& graph, Node& conv, const Node& normalization) {
  auto weight = constant_values(graph, conv.input(1));
  if (weight.empty()) return false;
  const Shape shape = graph.value(conv.inputs[1]).constant->shape;
  const auto channels = static_cast<size_t>(shape[0]);
  auto bias = constant_values(graph, conv.input(2));
  if (conv.input(2) != no_value && bias.size() != channels) return false;
  const auto map = channel_map(graph, normalization, channels);
  if (!map) return false;
  bias.resize(channels, 0.0);
  const size_t row = weight.size() / channels;
  for (size_t c = 0; c < channels; ++c) {
    for (size_t i = 0; i < row; ++i) weight[c * row + i] *= map->scale[c];
    bias[c] = bias[c] * map->scale[c] + map->offset[c];
  }
  conv.inputs.resize(3, no_value);
  conv.inputs[1] = add_constant(graph, shape, weight);
  conv.inputs[2] = add_constant(graph, {static_cast<int64_t>(channels)}, bias);
  conv.outputs[0] = normalization.outputs[0];
  return true;
}

}  // namespace

int fold_batch_normalization(Graph& graph) {
  std::vector<int> uses(graph.values.size(), 0);
  std::vector<Node*> producer(graph.values.size(), nullptr);
  for (Node& node : graph.nodes) {
    for (const ValueId input : node.inputs)
      if (input != no_value) ++uses[static_cast<size_t>(input)];
    if (node.domain.empty() && node.op == "Conv") producer[static_cast<size_t>(node.outputs[0])] = &node;
  }
  for (const Port& output : graph.outputs) ++uses[static_cast<size_t>(output.value)];
  std::vector<Node> kept;
  int folded = 0;
  std::vector<bool> gone(graph.nodes.size(), false);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (!node.domain.empty() || node.op != "BatchNormalization") continue;
    const auto input = static_cast<size_t>(node.inputs[0]);
    if (producer[input] == nullptr || uses[input] != 1 || !fold(graph, *producer[input], node)) continue;
    gone[i] = true;
    ++folded;
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    if (!gone[i]) kept.push_back(std::move(graph.nodes[i]));
  graph.nodes = std::move(kept);
  return folded;
}

}  // namespace pare
