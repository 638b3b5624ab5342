#include "compress/static_quantizer.hpp"

#include <algorithm>

#include "compress/integer_kernels.hpp"
#include "src/graph/passes/fold_batch_normalization.hpp"
#include "src/graph/passes/fold_pad.hpp"
#include "src/graph/passes/fold_scaling.hpp"
#include "src/graph/passes/mean_as_pool.hpp"
#include "src/graph/passes/plain_gemm.hpp"
#include "src/graph/shape_rules.hpp"

namespace pare {
namespace {

void keep_names(const Graph& before, Graph& after) {
  std::map<std::string, const Node*> originals;
  for (const Node& node : before.nodes) originals.emplace(node.name, &node);
  for (const Node& node : after.nodes) {
    const auto original = originals.find(node.name);
    if (node.op != "Conv" || original == originals.end()) continue;
    for (const size_t i : {size_t{1}, size_t{2}}) {
      const ValueId now = node.input(i);
      if (now == no_value || !after.value(now).name.empty()) continue;
      const ValueId then = original->second->input(i);
      // Without a bias before: one of its own name.
      const std::string name =
          then != no_value ? before.value(then).name : after.value(node.inputs[1]).name + node.name + "_bias";
      if (name.empty() || (then == no_value && after.find(name) != no_value)) continue;
      if (then != no_value) after.value(then).name.clear();
      after.value(now).name = name;
      after.by_name[name] = now;
    }
  }
}

int bits_of(const EncodedWeight& weight) {
  int bits = 2;
  while (symmetric_codes(bits).highest < weight.range.highest) ++bits;
  return bits;
}

const Node& node_named(const Graph& graph, const std::string& name) {
  return *std::find_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) { return node.name == name; });
}

EncodedWeight encode(const Graph& graph, const QuantPlace& place, const std::vector<float>& values,
                     const std::vector<float>& least, const StaticConfig& config) {
  const Shape& shape = graph.value(place.value).constant->shape;
  const ScaleGroups groups{shape, static_cast<size_t>(place.axis), 0, !config.per_channel};
  const int bits = place.outer && config.outer_bits > 0 ? config.outer_bits : config.weight_bits;
  EncodedWeight weight = encode_nearest(values, groups, symmetric_codes(bits), config.search);
  bool raised = false;
  for (size_t c = 0; c < least.size(); ++c) {
    float& scale = weight.scale[config.per_channel ? c : 0];
    if (!(scale < least[c])) continue;
    scale = least[c];
    raised = true;
  }
  if (raised) {
    kernels::quantize({}, values.data(), groups.layout(), weight.scale.data(), nullptr, kernels::IntegerType::int8,
                      weight.codes.data());
    const int low = weight.range.lowest, high = weight.range.highest;
    for (uint8_t& code : weight.codes)
      code = static_cast<uint8_t>(std::clamp(static_cast<int>(static_cast<int8_t>(code)), low, high));
  }
  return weight;
}

// Whether the scales of channels, or the one of the tensor, are nowhere below the least ones that the bias needs.
bool reaches(const std::vector<float>& scales, const std::vector<float>& least) {
  for (size_t c = 0; c < least.size(); ++c)
    if (scales[scales.size() == 1 ? 0 : c] < least[c]) return false;
  return true;
}

}  // namespace

Graph prepare_for_quantization(const Graph& graph) {
  Graph prepared = graph;
  fold_batch_normalization(prepared);
  keep_names(graph, prepared);
  fold_pad(prepared);
  plain_gemm(prepared);
  infer_shapes(prepared);
  fold_scaling(prepared);
  mean_as_pool(prepared);
  verify(prepared);
  return prepared;
}

std::map<ValueId, EncodedWeight> encode_weights(const Graph& graph, const QuantPlacement& placement,
                                                const std::map<ValueId, ActivationCodes>& activations,
                                                const StaticConfig& config,
                                                const std::map<ValueId, EncodedWeight>& rounded) {
  std::map<ValueId, EncodedWeight> encoded;
  for (const QuantLayer& layer : placement.layers) {
    const QuantPlace& place = *placement.find(layer.weight);
    const QuantPlace& input = *placement.find(layer.input);
    const ActivationCodes& codes = activations.at(input.same_as == no_value ? input.value : input.same_as);
    const Value& weight = graph.value(layer.weight);
    std::vector<float> least;
    if (config.integer_bias) least = least_weight_scales(graph, layer, codes.scale);
    if (config.per_channel &&
        static_cast<int64_t>(least.size()) != weight.constant->shape[static_cast<size_t>(place.axis)])
      least.clear();  // a bias that stays float
    const auto found = rounded.find(layer.weight);
    const bool fits = found != rounded.end() && reaches(found->second.scale, least);
    encoded.emplace(
        layer.weight,
        fits ? found->second : encode(graph, place, finite_floats(*weight.constant, weight.name), least, config));
  }
  return encoded;
}

std::vector<StaticLayer> quantize_statically(Graph& graph, const QuantPlacement& placement,
                                             const std::map<ValueId, ActivationCodes>& activations,
                                             const StaticConfig& config,
                                             const std::map<ValueId, EncodedWeight>& rounded) {
  QuantizedValues values{activations, encode_weights(graph, placement, activations, config, rounded),
                         config.integer_bias, config.int4};
  std::vector<StaticLayer> layers;
  for (const QuantLayer& layer : placement.layers) {
    const EncodedWeight& encoded = values.weights.at(layer.weight);
    layers.push_back({layer.name, node_named(graph, layer.name).op, encoded.groups.shape, bits_of(encoded),
                      snr_db(graph.value(layer.weight).constant->as<float>(), encoded.decoded()), layer.weight});
  }
  insert_qdq(graph, placement, values);
  return layers;
}

std::vector<std::string> float_products(const Graph& graph, const QuantPlacement& placement) {
  std::vector<std::string> labels;
  for (const Node& node : graph.nodes) {
    const bool product = node.op == "Conv" || node.op == "ConvTranspose" || node.op == "Gemm" || node.op == "MatMul";
    if (!product || !node.domain.empty()) continue;
    const bool layer = std::any_of(placement.layers.begin(), placement.layers.end(),
                                   [&](const QuantLayer& row) { return row.name == node.name; });
    if (layer || (placement.find(node.inputs[0]) != nullptr && placement.find(node.inputs[1]) != nullptr)) continue;
    labels.push_back(node.label());
  }
  return labels;
}

size_t integer_products(const Graph& graph, const QuantPlacement& placement) {
  const IntegerKernels kernels = integer_kernels(graph, placement);
  return kernels.convolutions.integer + kernels.products.integer;
}

}  // namespace pare
