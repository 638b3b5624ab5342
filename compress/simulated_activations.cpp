#include "compress/simulated_activations.hpp"

#include "compress/qat_graph.hpp"

namespace pare {

Graph simulate_activations(const Graph& graph, const QuantPlacement& placement,
                           const std::map<ValueId, ActivationCodes>& codes) {
  QuantPlacement activations = placement;
  std::erase_if(activations.places, [](const QuantPlace& place) { return place.kind == QuantPlace::Kind::weight; });
  const auto form_of = [&](const QuantPlace& place) {
    const ActivationCodes& chosen = codes.at(place.value);
    return FakeQuantForm{chosen.lowest, chosen.highest, chosen.zero_point, -1, "lsq"};
  };
  Graph simulated = graph;
  insert_fake_quant(simulated, activations, form_of, [](const QuantPlace&) { return false; });
  for (const Node& node : simulated.nodes) {
    if (!is_fake_quant(node)) continue;
    const auto found = codes.find(node.inputs[0]);
    if (found == codes.end()) continue;  // the same as another place, whose step it reads
    simulated.value(node.inputs[1]).constant = Tensor::of(DType::float32, {}, std::vector<float>{found->second.scale});
  }
  return simulated;
}

}  // namespace pare
