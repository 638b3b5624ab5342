// BatchNormalization beside integer weights: convolutions are trained with it behind them, and since every output
// channel has a step of its own, folding it changes steps and biases, never a code. Krishnamoorthi (2018) and Jacob et
// al. (2018) fold before quantizing, and then need a correction for the batch's statistics; here the weight's grid is
// the same for any statistics.
#include <algorithm>
#include <cmath>

#include "compress/qat_graph.hpp"
#include "src/core/error.hpp"
#include "src/graph/edit.hpp"

namespace pare {
namespace {

constexpr int conv_axis = 0;

// A convolution and the BatchNormalization behind it; `quantize` is the weight's FakeQuant, null where it has none.
struct Normalized {
  Node* conv;
  Node* normalization;
  Node* quantize;
  ValueId weight;
};

std::vector<Normalized> normalized_convolutions(Graph& graph) {
  std::vector<int> readers(graph.values.size(), 0);
  std::vector<Node*> producer(graph.values.size(), nullptr);
  for (Node& node : graph.nodes) {
    for (const ValueId input : node.inputs)
      if (input != no_value) ++readers[static_cast<size_t>(input)];
    for (const ValueId output : node.outputs)
      if (output != no_value) producer[static_cast<size_t>(output)] = &node;
  }
  for (const Port& output : graph.outputs) ++readers[static_cast<size_t>(output.value)];
  const auto is_float_constant = [&](ValueId id) {
    return id != no_value && graph.value(id).constant && graph.value(id).constant->dtype == DType::float32;
  };
  std::vector<Normalized> found;
  for (Node& node : graph.nodes) {
    if (!node.domain.empty() || node.op != "BatchNormalization") continue;
    const auto input = static_cast<size_t>(node.inputs[0]);
    Node* conv = producer[input];
    if (conv == nullptr || conv->op != "Conv" || !conv->domain.empty() || readers[input] != 1) continue;
    Node* quantize = producer[static_cast<size_t>(conv->inputs[1])];
    const ValueId weight = quantize == nullptr ? conv->inputs[1] : quantize->inputs[0];
    if (quantize != nullptr && (!is_fake_quant(*quantize) || fake_quant_of(*quantize).axis != conv_axis ||
                                readers[static_cast<size_t>(conv->inputs[1])] != 1))
      continue;
    bool constants = is_float_constant(weight) && readers[static_cast<size_t>(weight)] == 1 &&
                     (conv->input(2) == no_value || is_float_constant(conv->input(2)));
    for (size_t i = 1; i <= 4; ++i)
      constants = constants && is_float_constant(node.input(i)) && readers[static_cast<size_t>(node.inputs[i])] == 1;
    if (constants) found.push_back({conv, &node, quantize, weight});
  }
  return found;
}

std::vector<double> values(const Graph& graph, ValueId id) { return to_double(*graph.value(id).constant); }

void replace(Graph& graph, ValueId id, const std::vector<double>& numbers) {
  Tensor& tensor = *graph.value(id).constant;
  tensor = Tensor::of(DType::float32, tensor.shape, std::vector<float>(numbers.begin(), numbers.end()));
}

// Multiplies each channel (the first dimension) of a constant with its factor.
void multiply(Graph& graph, ValueId id, const std::vector<double>& factors) {
  std::vector<double> numbers = values(graph, id);
  const size_t row = factors.empty() ? 0 : numbers.size() / factors.size();
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] *= factors[i / row];
  replace(graph, id, numbers);
}

// The weight becomes what its codes stand for, rounded by its steps.
void round_weight(Graph& graph, const Node& quantize) {
  const FakeQuantForm form = fake_quant_of(quantize);
  const Tensor& weight = *graph.value(quantize.inputs[0]).constant;
  const auto steps = graph.value(quantize.inputs[1]).constant->as<float>();
  const auto given = weight.as<float>();
  std::vector<double> rounded(given.size());
  const size_t row = given.size() / steps.size();
  for (size_t i = 0; i < given.size(); ++i) {
    const float step = steps[i / row];
    const double code = std::nearbyint(given[i] / step);
    rounded[i] = std::min<double>(std::max<double>(code, form.lowest), form.highest) * step;
  }
  replace(graph, quantize.inputs[0], rounded);
}

}  // namespace

void make_normalization_positive(Graph& graph) {
  for (const Normalized& pair : normalized_convolutions(graph)) {
    std::vector<double> scale = values(graph, pair.normalization->inputs[1]), signs(scale.size());
    for (size_t c = 0; c < scale.size(); ++c) {
      signs[c] = scale[c] < 0 ? -1 : 1;
      scale[c] = std::fabs(scale[c]);
    }
    replace(graph, pair.normalization->inputs[1], scale);
    multiply(graph, pair.weight, signs);
    multiply(graph, pair.normalization->inputs[3], signs);
    if (pair.conv->input(2) != no_value) multiply(graph, pair.conv->inputs[2], signs);
  }
}

std::vector<std::string> folded_normalization_scales(const Graph& graph) {
  Graph copy = graph;
  std::vector<std::string> names;
  for (const Normalized& pair : normalized_convolutions(copy))
    if (pair.quantize != nullptr) names.push_back(graph.value(pair.normalization->inputs[1]).name);
  return names;
}

void fold_into_steps(Graph& graph) {
  std::vector<std::string> folded;
  for (const Normalized& pair : normalized_convolutions(graph)) {
    if (pair.quantize == nullptr) continue;
    const Node& normalization = *pair.normalization;
    std::vector<double> factor = values(graph, normalization.inputs[1]),
                        offset = values(graph, normalization.inputs[2]);
    const std::vector<double> mean = values(graph, normalization.inputs[3]),
                              variance = values(graph, normalization.inputs[4]);
    std::vector<double> bias(factor.size());
    if (pair.conv->input(2) != no_value) bias = values(graph, pair.conv->inputs[2]);
    const double epsilon = normalization.real("epsilon", 1e-5f);
    for (size_t c = 0; c < factor.size(); ++c) {
      factor[c] /= std::sqrt(variance[c] + epsilon);
      if (!(factor[c] > 0))
        fail_run("{}: channel {} cannot be folded into an integer scale (got {}, expected > 0)", normalization.label(),
                 c, factor[c]);
      bias[c] = (bias[c] - mean[c]) * factor[c] + offset[c];
    }
    round_weight(graph, *pair.quantize);
    multiply(graph, pair.weight, factor);
    multiply(graph, pair.quantize->inputs[1], factor);
    const auto channels = static_cast<int64_t>(factor.size());
    const std::string name = graph.value(pair.weight).name + "/bias";
    const ValueId id = add_constant_value(
        graph, name, Tensor::of(DType::float32, {channels}, std::vector<float>(bias.begin(), bias.end())));
    pair.conv->inputs.resize(3, no_value);
    pair.conv->inputs[2] = id;
    pair.conv->outputs[0] = normalization.outputs[0];
    folded.push_back(normalization.name);
  }
  std::erase_if(graph.nodes, [&](const Node& node) {
    return node.op == "BatchNormalization" && std::find(folded.begin(), folded.end(), node.name) != folded.end();
  });
  verify(graph);
}

}  // namespace pare
