#include "compress/layer_samples.hpp"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/matmul.h>

#include "compress/layer_rows.hpp"
#include "src/core/error.hpp"

namespace pare {
namespace {

bool is(const Node& node, std::string_view op) { return node.domain.empty() && node.op == op; }

// The only node that reads the value, or null.
const Node* only_reader(const Graph& graph, ValueId id) {
  for (const Port& output : graph.outputs)
    if (output.value == id) return nullptr;
  const Node* reader = nullptr;
  for (const Node& node : graph.nodes)
    for (const ValueId input : node.inputs) {
      if (input != id) continue;
      if (reader != nullptr) return nullptr;
      reader = &node;
    }
  return reader;
}

// The bias as [groups, 1, outputs of a group]; undefined where it is no constant of one number an output.
at::Tensor bias_of(const Network& network, ValueId id, const WeightLayout& layout) {
  if (id == no_value || !network.graph.value(id).constant) return {};
  const at::Tensor bias = network.parameters.tensor(id).detach();
  if (bias.dim() > 1 || bias.numel() != layout.groups * layout.outputs()) return {};
  return bias.to(at::kFloat).reshape({layout.groups, 1, layout.outputs()});
}

// A bound of Clip; `otherwise` where it is left out.
std::optional<float> bound(const Graph& graph, ValueId id, float otherwise) {
  if (id == no_value) return otherwise;
  const auto& constant = graph.value(id).constant;
  if (!constant || constant->elements() != 1) return std::nullopt;
  return static_cast<float>(to_double(*constant)[0]);
}

// Bounds count where the whole sum in front of them is known.
LayerEnd layer_end(const Network& network, const Node& product, const WeightLayout& layout) {
  LayerEnd end;
  ValueId bias = product.input(2);
  const Node* next = only_reader(network.graph, product.outputs[0]);
  if (is(product, "Gemm") && (product.real("alpha", 1) != 1 || product.real("beta", 1) != 1)) return {};
  if (is(product, "MatMul") && next != nullptr && is(*next, "Add")) {
    bias = next->inputs[next->inputs[0] == product.outputs[0] ? 1 : 0];
    if (!network.graph.value(bias).constant) return {};
    next = only_reader(network.graph, next->outputs[0]);
  }
  if (bias != no_value) {
    end.bias = bias_of(network, bias, layout);
    if (!end.bias.defined()) return {};
  }
  if (next == nullptr) return end;
  if (is(*next, "Relu")) end.low = 0;
  if (!is(*next, "Clip")) return end;
  const std::optional<float> low = bound(network.graph, next->input(1), end.low);
  const std::optional<float> high = bound(network.graph, next->input(2), end.high);
  if (low && high) {
    end.low = *low;
    end.high = *high;
  }
  return end;
}

// The network up to what the layer's nodes multiply.
Executor up_to(const Graph& graph, const std::vector<WeightUse>& uses) {
  Graph cut = graph;
  cut.outputs.clear();
  for (const WeightUse& use : uses) cut.outputs.push_back({use.data, {}, false});
  return Executor(cut);
}

class Sampler {
 public:
  Sampler(const Network& exact, ValueId weight, const WeightUse& use, const SampleBudget& budget, RandomKey key)
      : shape_(*exact.graph.value(weight).shape),
        layout_(weight_layout(use, shape_)),
        key_(key),
        samples_(budget.samples) {
    const double factor = is(*use.node, "Gemm") ? use.node->real("alpha", 1) : 1;
    matrix_ =
        weight_matrices(layout_, exact.parameters.tensor(weight).detach().to(at::kFloat)).transpose(1, 2).mul(factor);
    const int64_t row_bytes = 4 * layout_.groups * (layout_.view.length + layout_.outputs());
    rows_ = std::max<int64_t>(1, std::min(budget.rows, budget.bytes / row_bytes));
  }

  // The values that one batch of so many samples gives the node, in both networks.
  void add(const WeightUse& use, int64_t samples, const at::Tensor& exact, const at::Tensor& quantized) {
    if (use.node->op != "Conv") return add_rows(use, exact, quantized, samples);
    for (int64_t n = 0; n < exact.size(0); ++n) add_rows(use, exact.narrow(0, n, 1), quantized.narrow(0, n, 1), 1);
  }

  LayerSamples finish(LayerEnd end) const {
    LayerSamples result{at::cat(inputs_, 1), at::cat(targets_, 1), std::move(end)};
    if (!at::isfinite(result.inputs).all().item<bool>() || !at::isfinite(result.targets).all().item<bool>())
      fail_input("the layer's inputs hold NaN or infinity");
    if (result.end.bias.defined()) result.targets.add_(result.end.bias);
    if (result.end.limited()) result.targets.clamp_(result.end.low, result.end.high);
    return result;
  }

 private:
  void add_rows(const WeightUse& use, const at::Tensor& exact, const at::Tensor& quantized, int64_t samples) {
    const int64_t wanted = (rows_ * std::min(samples, samples_) + samples_ - 1) / samples_;
    at::Tensor chosen;
    for_each_rows(use, shape_, exact, [&](const at::Tensor& rows) {
      chosen = draw(rows.size(1), wanted);
      targets_.push_back(at::matmul(rows.index_select(1, chosen), matrix_));
    });
    for_each_rows(use, shape_, quantized,
                  [&](const at::Tensor& rows) { inputs_.push_back(rows.index_select(1, chosen)); });
  }

  at::Tensor draw(int64_t from, int64_t wanted) {
    std::vector<int64_t> places;
    for (int64_t i = 0; i < std::min(from, wanted); ++i)
      places.push_back(from <= wanted ? i
                                      : static_cast<int64_t>(random_below(static_cast<uint64_t>(from), key_,
                                                                          static_cast<uint64_t>(drawn_++))));
    return at::from_blob(places.data(), {static_cast<int64_t>(places.size())}, at::kLong).clone().to(matrix_.device());
  }

  Shape shape_;
  WeightLayout layout_;
  RandomKey key_;
  int64_t samples_;
  int64_t rows_ = 0;
  int64_t drawn_ = 0;
  at::Tensor matrix_;  // [groups, K, outputs], float
  std::vector<at::Tensor> inputs_, targets_;
};

}  // namespace

LayerSamples sample_layer(const Network& exact, const Network& quantized, ValueId weight, const SampleBudget& budget,
                          const ForEachBatch& for_each_batch, RandomKey key) {
  const c10::AutoGradMode no_grad(false);
  const std::vector<WeightUse> uses = weight_uses(exact.graph, weight), given = weight_uses(quantized.graph, weight);
  const Executor float_part = up_to(exact.graph, uses), quantized_part = up_to(quantized.graph, given);
  Sampler sampler(exact, weight, uses.front(), budget, key);
  for_each_batch([&](std::span<const at::Tensor> inputs) {
    const int64_t samples = inputs.empty() || inputs.front().dim() == 0 ? 1 : inputs.front().size(0);
    const std::vector<at::Tensor> before = float_part.run(exact.parameters, inputs, false);
    const std::vector<at::Tensor> after = quantized_part.run(quantized.parameters, inputs, false);
    for (size_t i = 0; i < uses.size(); ++i) sampler.add(uses[i], samples, before[i], after[i]);
  });
  LayerEnd end;
  if (uses.size() == 1)
    end = layer_end(exact, *uses.front().node, weight_layout(uses.front(), *exact.graph.value(weight).shape));
  return sampler.finish(std::move(end));
}

}  // namespace pare
