#include "compress/simulated_activations.hpp"

#include "compress/qat_graph.hpp"

namespace pare {

Graph simulate_activations(const Graph& graph, const QuantPlacement& placement,
                           const std::map<ValueId, ActivationCodes>& codes) {
  QuantPlacement activations = placement;
  std::erase_if(activations.places, [](const QuantPlace& place) { return place.kind == QuantPlace::Kind::weight; });
  return simulate_quantization(graph, activations, codes, {});
}

Graph simulate_quantization(const Graph& graph, const QuantPlacement& placement,
                            const std::map<ValueId, ActivationCodes>& codes,
                            const std::map<ValueId, EncodedWeight>& weights) {
  const auto form_of = [&](const QuantPlace& place) {
    if (place.kind == QuantPlace::Kind::weight) {
      const kernels::CodeRange range = weights.at(place.value).range;
      return FakeQuantForm{range.lowest, range.highest, 0, static_cast<int>(place.axis), "lsq"};
    }
    const ActivationCodes& chosen = codes.at(place.value);
    return FakeQuantForm{chosen.lowest, chosen.highest, chosen.zero_point, -1, "lsq"};
  };
  Graph simulated = graph;
  insert_fake_quant(simulated, placement, form_of, [](const QuantPlace&) { return false; });
  for (const Node& node : simulated.nodes) {
    if (!is_fake_quant(node)) continue;
    auto& step = simulated.value(node.inputs[1]).constant;
    if (const auto weight = weights.find(node.inputs[0]); weight != weights.end()) {
      // One scale for all channels is given to each.
      std::vector<float> scales = weight->second.scale;
      scales.resize(static_cast<size_t>(step->elements()), scales.front());
      step = Tensor::of(DType::float32, step->shape, scales);
    }
    // Otherwise the same as another place, whose step it reads.
    if (const auto found = codes.find(node.inputs[0]); found != codes.end())
      step = Tensor::of(DType::float32, {}, std::vector<float>{found->second.scale});
  }
  return simulated;
}

}  // namespace pare
