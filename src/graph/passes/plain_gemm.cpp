#include "src/graph/passes/plain_gemm.hpp"

namespace pare {

int plain_gemm(Graph& graph) {
  const auto consumers = consumers_of(graph);
  const auto own = [&](ValueId id) {
    const auto& constant = graph.value(id).constant;
    return constant && constant->dtype == DType::float32 && consumers[static_cast<size_t>(id)].size() == 1;
  };
  const auto multiply = [&](ValueId id, float factor) {
    Tensor& tensor = *graph.value(id).constant;
    std::vector<float> values = tensor.as<float>();
    for (float& value : values) value *= factor;
    tensor = Tensor::of(DType::float32, tensor.shape, values);
  };
  int rewritten = 0;
  for (Node& node : graph.nodes) {
    if (!node.domain.empty() || node.op != "Gemm") continue;
    const float alpha = node.real("alpha", 1), beta = node.real("beta", 1);
    const ValueId bias = node.input(2);
    if ((alpha == 1 && beta == 1) || (alpha != 1 && !own(node.inputs[1])) ||
        (beta != 1 && bias != no_value && !own(bias)))
      continue;
    if (alpha != 1) multiply(node.inputs[1], alpha);
    if (beta != 1 && bias != no_value) multiply(bias, beta);
    node.attributes.erase("alpha");
    node.attributes.erase("beta");
    ++rewritten;
  }
  return rewritten;
}

}  // namespace pare
