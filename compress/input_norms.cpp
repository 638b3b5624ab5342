#include "compress/input_norms.hpp"

#include <numeric>

#include <ATen/ops/sum.h>

#include "src/core/error.hpp"

namespace pare {
namespace {

// The axis of a layer's input that its sum runs over.
int64_t channel_axis(const WeightUse& use, const at::Tensor& value) {
  const Node& node = *use.node;
  if (node.op == "Conv" || node.op == "ConvTranspose") return 1;
  if (node.op == "Gemm") return node.integer("transA", 0) != 0 ? 0 : 1;
  if (node.op == "MatMul" && use.input == 0 && value.dim() > 1) return value.dim() - 2;
  return value.dim() - 1;
}

// Squares [channels] in a shape that broadcasts to the weight's.
at::Tensor along_weight(const WeightUse& use, const Shape& shape, const at::Tensor& squares) {
  const Node& node = *use.node;
  const auto rank = static_cast<int64_t>(shape.size());
  if (node.op == "Conv") {
    // [M, C/g, k...]: every output belongs to a group of its own inputs.
    const int64_t groups = node.integer("group", 1);
    at::Tensor rows = squares.view({groups, 1, shape[1]}).expand({groups, shape[0] / groups, shape[1]});
    rows = rows.reshape({shape[0], shape[1]});
    for (int64_t i = 2; i < rank; ++i) rows = rows.unsqueeze(-1);
    return rows;
  }
  int64_t axis = rank - 1;
  if (node.op == "ConvTranspose") axis = 0;
  else if (node.op == "Gemm") axis = node.integer("transB", 0) != 0 ? 1 : 0;
  else if (node.op == "MatMul" && use.input == 1) axis = rank - 2;
  std::vector<int64_t> sizes(static_cast<size_t>(rank), 1);
  sizes[static_cast<size_t>(axis)] = squares.numel();
  return squares.view(sizes);
}

}  // namespace

InputNorms::InputNorms(const Graph& graph, const std::set<std::string>& weights) {
  for (const std::string& name : weights) {
    const ValueId id = graph.find(name);
    if (id == no_value) continue;
    for (const WeightUse& use : weight_uses(graph, id)) {
      if (use.data == no_value || graph.value(use.data).constant) continue;
      watched_.push_back({name, use, *graph.value(id).shape, {}});
      if (observation_.watched.size() <= static_cast<size_t>(use.data))
        observation_.watched.resize(static_cast<size_t>(use.data) + 1, false);
      observation_.watched[static_cast<size_t>(use.data)] = true;
    }
  }
  observation_.seen = [this](ValueId id, const at::Tensor& value) { see(id, value); };
}

void InputNorms::see(ValueId id, const at::Tensor& value) {
  const c10::AutoGradMode no_grad(false);
  for (Watched& watched : watched_) {
    if (watched.use.data != id) continue;
    const int64_t axis = channel_axis(watched.use, value);
    std::vector<int64_t> others(static_cast<size_t>(value.dim()));
    std::iota(others.begin(), others.end(), int64_t{0});
    others.erase(others.begin() + axis);
    at::Tensor squares = value.to(at::kFloat).square();
    if (!others.empty()) squares = at::sum(squares, others);
    squares = along_weight(watched.use, watched.shape, squares);
    if (watched.squares.defined()) watched.squares.add_(squares);
    else watched.squares = squares.clone();
  }
}

std::map<std::string, at::Tensor> InputNorms::norms() const {
  std::map<std::string, at::Tensor> sums;
  for (const Watched& watched : watched_) {
    if (!watched.squares.defined()) continue;
    const auto [entry, fresh] = sums.emplace(watched.name, watched.squares);
    if (!fresh) entry->second = entry->second.add(watched.squares);
  }
  for (auto& [name, sum] : sums) sum = sum.sqrt();
  return sums;
}

}  // namespace pare
