#include "src/train/initialize.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include <ATen/ops/empty.h>

#include "src/core/random.hpp"

namespace pare {
namespace {

// Products that each output of the node sums over for its weight at `shape`.
int64_t fan_in(const Node& node, const Shape& shape) {
  const int64_t elements = element_count(shape);
  if (node.op == "LSTM" || node.op == "GRU" || node.op == "RNN") return shape.back();
  int64_t outputs = shape[0];
  if (node.op == "MatMul") outputs = shape.back();
  if (node.op == "ConvTranspose" || (node.op == "Gemm" && node.integer("transB", 0) == 0)) outputs = shape[1];
  return outputs == 0 ? 1 : std::max<int64_t>(1, elements / outputs);
}

std::map<ValueId, int64_t> fan_ins(const Graph& graph) {
  std::map<ValueId, int64_t> fans;
  for (const Node& node : graph.nodes)
    for (const ValueId id : node.inputs)
      if (id != no_value && graph.value(id).constant && graph.value(id).constant->shape.size() >= 2)
        fans[id] = fan_in(node, graph.value(id).constant->shape);
  return fans;
}

std::set<ValueId> scales(const Graph& graph) {
  std::set<ValueId> ids;
  for (const Node& node : graph.nodes)
    if (node.op == "BatchNormalization") ids.insert({node.input(1), node.input(4)});
  return ids;
}

}  // namespace

void initialize_kaiming(const Graph& graph, const Parameters& parameters, uint64_t seed) {
  const c10::AutoGradMode no_grad(false);
  const auto fans = fan_ins(graph);
  const auto ones = scales(graph);
  for (const Parameter& parameter : parameters.all()) {
    if (parameter.value == no_value) continue;
    if (parameter.role != Role::weight && parameter.role != Role::moved_weight) {
      parameter.tensor.fill_(ones.contains(parameter.value) ? 1 : 0);
      continue;
    }
    const double deviation = std::sqrt(2.0 / static_cast<double>(fans.at(parameter.value)));
    at::Tensor values = at::empty(parameter.tensor.sizes(), at::kFloat);
    auto* target = values.mutable_data_ptr<float>();
    const RandomKey key{seed, random_stream(parameter.name)};
    for (int64_t i = 0; i < values.numel(); ++i)
      target[i] = static_cast<float>(deviation * random_normal(key, static_cast<uint64_t>(i)));
    parameter.tensor.copy_(values);
  }
}

}  // namespace pare
