#include "compress/weight_layout.hpp"

#include <algorithm>

#include "src/core/error.hpp"
#include "src/graph/subgraph.hpp"

namespace pare {
namespace {

int64_t product(const Shape& shape, size_t begin, size_t end) {
  int64_t result = 1;
  for (size_t i = begin; i < end; ++i) result *= shape[i];
  return result;
}

bool is_recurrent(const Node& node) { return node.op == "LSTM" || node.op == "GRU" || node.op == "RNN"; }

// Which input a weight at `input` multiplies: -2 when the node does not multiply by it, no_value when it is computed
// inside the node.
constexpr ValueId not_a_weight = -2;

ValueId multiplied_by(const Node& node, size_t input) {
  if (is_recurrent(node)) return input == 1 ? node.input(0) : input == 2 ? no_value : not_a_weight;
  if (node.op == "MatMul") return input <= 1 ? node.input(1 - input) : not_a_weight;
  const bool single = node.op == "Conv" || node.op == "ConvTranspose" || node.op == "Gemm";
  return single && input == 1 ? node.input(0) : not_a_weight;
}

void add_layouts(const Graph& graph, ValueId weight, const Shape& shape,
                 std::vector<std::pair<const Node*, WeightLayout>>& found) {
  for (const WeightUse& use : weight_uses(graph, weight)) found.emplace_back(use.node, weight_layout(use, shape));
  for (const Node& node : graph.nodes) {
    const size_t listed = node.inputs.size() - node.captured;
    for (size_t i = 0; i < node.captured; ++i) {
      if (node.inputs[listed + i] != weight) continue;
      for (const auto& [name, body] : subgraphs_of(node))
        add_layouts(*body, body->inputs[body->inputs.size() - node.captured + i].value, shape, found);
    }
  }
}

}  // namespace

std::vector<WeightUse> weight_uses(const Graph& graph, ValueId weight) {
  std::vector<WeightUse> uses;
  for (const Node& node : graph.nodes)
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] != weight) continue;
      const ValueId data = multiplied_by(node, i);
      if (data != not_a_weight) uses.push_back({&node, i, data});
    }
  return uses;
}

bool has_visible_inputs(const Graph& graph, ValueId weight) {
  bool captured = false;
  for (const Node& node : graph.nodes)
    for (size_t i = node.inputs.size() - node.captured; i < node.inputs.size(); ++i)
      captured = captured || node.inputs[i] == weight;
  const std::vector<WeightUse> uses = weight_uses(graph, weight);
  return !captured && !uses.empty() && std::ranges::all_of(uses, [&](const WeightUse& use) {
    return use.data != no_value && !graph.value(use.data).constant;
  });
}

WeightLayout weight_layout(const WeightUse& use, const Shape& shape) {
  const Node& node = *use.node;
  const size_t rank = shape.size();
  const int64_t all = product(shape, 0, rank);
  const auto rows_of = [&](int64_t rows, int64_t groups) -> WeightLayout {
    return {{rows, rows == 0 ? 0 : all / rows, 1}, groups};
  };
  if (node.op == "Conv") return rows_of(shape[0], node.integer("group", 1));
  if (node.op == "ConvTranspose") {
    const int64_t groups = node.integer("group", 1);
    return {{groups, shape[0] / groups, product(shape, 1, rank)}, groups};
  }
  const int64_t batch = product(shape, 0, rank - 2);
  if (is_recurrent(node)) return rows_of(batch * shape[rank - 2], batch);
  if (node.op == "MatMul" && use.input == 0) return rows_of(batch * shape[rank - 2], batch);
  if (node.op == "Gemm" && node.integer("transB", 0) != 0) return rows_of(shape[0], 1);
  return {{batch, shape[rank - 2], shape[rank - 1]}, batch};
}

WeightLayout weight_layout(const Graph& graph, ValueId weight) {
  const Value& value = graph.value(weight);
  std::vector<std::pair<const Node*, WeightLayout>> layouts;
  add_layouts(graph, weight, *value.shape, layouts);
  if (layouts.empty()) fail_input("weight '{}': no node multiplies by it", value.name);
  const auto& [first_node, first] = layouts.front();
  for (const auto& [node, layout] : layouts) {
    if (layout.view.length != first.view.length || layout.view.inner != first.view.inner)
      fail_input("weight '{}': {} and {} sum over different axes of it; leave it out with --exclude", value.name,
                 first_node->label(), node->label());
  }
  return first;
}

}  // namespace pare
