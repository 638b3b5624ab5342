#include "commands/sensitivity_run.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/quantize.hpp"
#include "src/graph/roles.hpp"

namespace pare {
namespace {

// The axis of the output channels of a weight, by the node that reads it.
size_t channel_axis(const Node& node, size_t rank) {
  if (node.op == "ConvTranspose") return 1;
  if (node.op == "Gemm") return node.integer("transB", 0) != 0 ? 0 : 1;
  return node.op == "MatMul" && rank > 0 ? rank - 1 : 0;
}

std::vector<float> halved(const std::vector<float>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return std::abs(values[a]) > std::abs(values[b]); });
  std::vector<float> result = values;
  for (size_t i = (values.size() + 1) / 2; i < order.size(); ++i) result[order[i]] = 0;
  return result;
}

std::vector<float> rounded(const std::vector<float>& values, const Shape& shape, size_t axis,
                           kernels::IntegerType type) {
  const auto product = [](auto begin, auto end) {
    return std::accumulate(begin, end, int64_t{1}, std::multiplies<>());
  };
  const auto at = shape.begin() + static_cast<int64_t>(axis);
  const kernels::ScaleLayout layout{{product(shape.begin(), at), *at, product(at + 1, shape.end())}, 1, false, false};
  const auto channels = static_cast<size_t>(*at), inner = static_cast<size_t>(layout.view.inner);
  std::vector<float> scale(channels, 0);
  for (size_t i = 0; i < values.size(); ++i) {
    float& largest = scale[i / inner % channels];
    largest = std::max(largest, std::abs(values[i]));
  }
  for (float& largest : scale) largest = largest > 0 ? largest / static_cast<float>(kernels::highest_integer(type)) : 1;
  std::vector<uint8_t> integers(values.size());
  std::vector<float> result(values.size());
  kernels::cpu::quantize(values.data(), layout, scale.data(), nullptr, type, integers.data());
  kernels::cpu::dequantize(integers.data(), layout, scale.data(), nullptr, type, result.data());
  return result;
}

}  // namespace

void for_each_weight_change(const Graph& graph, const std::string& kind,
                            const std::function<void(const WeightChange&)>& measure) {
  const std::vector<Role> roles = roles_of(graph);
  const auto readers = consumers_of(graph);
  for (size_t id = 0; id < roles.size(); ++id) {
    const Value& value = graph.values[id];
    if (roles[id] != Role::weight || value.constant->shape.empty() || readers[id].empty()) continue;
    const Node& reader = *readers[id].front();
    const std::vector<double> wide = to_double(*value.constant);
    const std::vector<float> values(wide.begin(), wide.end());
    const auto apply = [&](const std::string& name, int bits, const std::vector<float>& changed) {
      WeightChange change{value.name, reader.op, value.constant->shape, name, bits, 0, graph};
      const Tensor tensor = Tensor::of(DType::float32, value.constant->shape, changed);
      change.sparsity = 1 - static_cast<double>(count_nonzero(tensor)) / static_cast<double>(changed.size());
      change.graph.values[id].constant = tensor;
      change.graph.values[id].dtype = DType::float32;
      measure(change);
    };
    if (kind == "prune") {
      apply("50 % pruned", 32, halved(values));
      continue;
    }
    const size_t axis = channel_axis(reader, value.constant->shape.size());
    apply("int8", 8, rounded(values, value.constant->shape, axis, kernels::IntegerType::int8));
    apply("int4", 4, rounded(values, value.constant->shape, axis, kernels::IntegerType::int4));
  }
}

}  // namespace pare
