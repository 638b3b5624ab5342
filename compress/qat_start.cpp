#include "compress/qat_start.hpp"

#include <algorithm>

#include "compress/qdq_insert.hpp"
#include "compress/weight_encoding.hpp"
#include "src/core/error.hpp"

namespace pare {
namespace {

using Kind = QuantPlace::Kind;

int bits_of(const Graph& graph, const QuantPlace& place, const QatGrids& grids) {
  if (place.kind == Kind::weight) return grids.weight_bits(graph.value(place.value).name, place.layer, place.outer);
  return place.outer && grids.outer_bits > 0 ? grids.outer_bits : grids.activation_bits;
}

// Signed grids have no code for the unsigned type's numbers: the same grid, moved by half its codes.
FakeQuantForm activation_form(const ActivationCodes& codes, const QatGrids& grids) {
  FakeQuantForm form;
  const int count = codes.highest - codes.lowest + 1;
  const bool is_unsigned = grids.unsigned_activations && count > 16;
  const int shift = is_unsigned || codes.lowest < 0 ? 0 : -count / 2;
  form.lowest = codes.lowest + shift;
  form.highest = codes.highest + shift;
  form.zero_point = codes.zero_point + shift;
  form.quantizer = grids.quantizer;
  return form;
}

// Of channels of zeros, or nearly: their biases would not fit, and products of steps would underflow.
void raise_small_steps(const Graph& graph, const QuantPlacement& placement,
                       const std::map<ValueId, ActivationCodes>& codes, std::map<ValueId, EncodedWeight>& weights) {
  constexpr float smallest = 1e-30f;
  for (auto& [id, weight] : weights)
    for (float& scale : weight.scale) scale = std::max(scale, smallest);
  for (const QuantLayer& layer : placement.layers) {
    const auto weight = weights.find(layer.weight);
    const auto input = codes.find(layer.input);
    if (weight == weights.end() || input == codes.end()) continue;
    const std::vector<float> least = least_weight_scales(graph, layer, input->second.scale);
    std::vector<float>& scales = weight->second.scale;
    for (size_t c = 0; c < least.size(); ++c) {
      float& scale = scales[scales.size() == 1 ? 0 : c];
      scale = std::max(scale, least[c]);
    }
  }
}

void set_steps(Graph& graph, ValueId id, const std::vector<float>& steps) {
  Tensor& tensor = *graph.value(id).constant;
  tensor = Tensor::of(DType::float32, tensor.shape, steps);
}

}  // namespace

CodeForm code_form_of(const QuantPlace& place, const QatGrids& grids) {
  CodeForm form;
  form.bits = place.outer && grids.outer_bits > 0 ? grids.outer_bits : grids.activation_bits;
  return form;
}

void start_fake_quant(Graph& graph, QuantPlacement placement, const QatGrids& grids,
                      const std::map<ValueId, ActivationCodes>& codes) {
  if (grids.activation_bits == 0)
    std::erase_if(placement.places, [](const QuantPlace& place) { return place.kind == Kind::activation; });
  std::map<ValueId, EncodedWeight> weights;
  for (const QuantPlace& place : placement.places) {
    if (place.kind != Kind::weight) continue;
    const Value& value = graph.value(place.value);
    const ScaleGroups groups{value.constant->shape, static_cast<size_t>(place.axis), 0, false};
    weights.emplace(place.value, encode_nearest(finite_floats(*value.constant, value.name), groups,
                                                signed_codes(bits_of(graph, place, grids)), ScaleSearch::mse));
  }
  raise_small_steps(graph, placement, codes, weights);
  const auto form_of = [&](const QuantPlace& place) {
    if (place.kind == Kind::activation) return activation_form(codes.at(place.value), grids);
    const EncodedWeight& weight = weights.at(place.value);
    FakeQuantForm form;
    form.lowest = weight.range.lowest;
    form.highest = weight.range.highest;
    form.axis = place.axis;
    form.quantizer = grids.quantizer == "pact" ? "minmax" : grids.quantizer;  // PACT is of activations
    return form;
  };
  const auto learned_zero = [&](const QuantPlace& place) {
    if (place.kind == Kind::weight || grids.quantizer != "lsq") return false;
    const FakeQuantForm form = form_of(place);
    return form.zero_point != form.lowest;
  };
  insert_fake_quant(graph, placement, form_of, learned_zero);
  for (const Node& node : graph.nodes) {
    if (!is_fake_quant(node)) continue;
    const ValueId value = node.inputs[0];
    if (const auto weight = weights.find(value); weight != weights.end())
      set_steps(graph, node.inputs[1], weight->second.scale);
    else if (const auto found = codes.find(value); found != codes.end())
      set_steps(graph, node.inputs[1], {found->second.scale});
  }
}

}  // namespace pare
