#include "compress/layer_hessians.hpp"

#include <algorithm>

#include "compress/layer_rows.hpp"

namespace pare {
namespace {

struct Measured {
  Shape shape;
  std::vector<WeightUse> uses;
};

// Whether the rows are the data's own.
bool is_plain_product(const std::vector<WeightUse>& uses, const Shape& shape) {
  const Node& node = *uses.front().node;
  return uses.size() == 1 && shape.size() == 2 && uses.front().input == 1 &&
         (node.op == "MatMul" || (node.op == "Gemm" && node.integer("transA", 0) == 0));
}

// Of K inputs, that each run must give.
int64_t rows_of_a_run(const HessianRows& rows, int64_t inputs) {
  constexpr int64_t least = 64;
  return rows.per_input == 0 ? 0 : std::max(least, (rows.per_input * inputs + rows.runs - 1) / rows.runs);
}

}  // namespace

bool has_hessian(const Graph& graph, ValueId weight) {
  const std::vector<WeightUse> uses = weight_uses(graph, weight);
  return !uses.empty() && std::all_of(uses.begin(), uses.end(), [&](const WeightUse& use) {
    const std::string& op = use.node->op;
    return (op == "Conv" || op == "Gemm" || op == "MatMul") && use.data != no_value && !graph.value(use.data).constant;
  });
}

LayerHessians::LayerHessians(const Graph& graph, const std::vector<ValueId>& weights, at::Device device,
                             const RunSamples& run_samples, HessianRows rows) {
  Observation observation;
  observation.watched.resize(graph.values.size(), false);
  std::vector<Measured> measured;
  std::vector<int64_t> runs;           // that each Hessian took
  std::map<ValueId, size_t> products;  // by the value that they multiply
  for (const ValueId weight : weights) {
    Measured layer{*graph.value(weight).shape, weight_uses(graph, weight)};
    const ValueId data = layer.uses.front().data;
    const bool plain = is_plain_product(layer.uses, layer.shape);
    if (plain && products.contains(data)) {
      owner_[weight] = products.at(data);
      continue;
    }
    if (plain) products[data] = hessians_.size();
    owner_[weight] = hessians_.size();
    const WeightLayout layout = weight_layout(layer.uses.front(), layer.shape);
    hessians_.emplace_back(layout.groups, layout.view.length, device);
    for (const WeightUse& use : layer.uses) observation.watched[static_cast<size_t>(use.data)] = true;
    measured.push_back(std::move(layer));
    runs.push_back(0);
  }
  const auto full = [&](size_t i) {
    const Hessian& hessian = hessians_[i];
    const int64_t wanted = rows.per_input * hessian.columns();
    return rows.per_input > 0 && runs[i] >= rows.runs && (hessian.rows() >= wanted || runs[i] >= 2 * rows.runs);
  };
  observation.enough = [&] {
    for (size_t i = 0; i < hessians_.size(); ++i)
      if (!full(i)) return false;
    return true;
  };
  observation.seen = [&](ValueId id, const at::Tensor& value) {
    const c10::AutoGradMode no_grad(false);
    for (size_t i = 0; i < measured.size(); ++i) {
      if (full(i)) continue;
      for (const WeightUse& use : measured[i].uses) {
        if (use.data != id) continue;
        for_each_rows(
            use, measured[i].shape, value, [&](const at::Tensor& given) { hessians_[i].add(given); },
            rows_of_a_run(rows, hessians_[i].columns()));
        if (&use == &measured[i].uses.front()) ++runs[i];
      }
    }
  };
  run_samples(observation);
}

}  // namespace pare
