#include "compress/gradient_scores.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/zeros_like.h>

#include "src/core/error.hpp"
#include "src/core/random.hpp"

namespace pare {

GradientScores::GradientScores(const Parameters& parameters, std::string method)
    : parameters_(parameters), method_(std::move(method)) {
  for (const Parameter& parameter : parameters.all())
    if (parameter.role != Role::statistics && parameter.value != no_value)
      sums_[parameter.value] = at::zeros_like(parameter.tensor).detach();
}

void GradientScores::add(double average) {
  const c10::AutoGradMode no_grad(false);
  for (const Parameter& parameter : parameters_.all())
    if (parameter.tensor.grad().defined() && !at::isfinite(parameter.tensor.grad()).all().item<bool>()) {
      ++left_out_;
      return;
    }
  ++added_;
  for (const Parameter& parameter : parameters_.all()) {
    const auto sum = sums_.find(parameter.value);
    if (sum == sums_.end() || !parameter.tensor.grad().defined()) continue;
    const at::Tensor change = parameter.tensor.mul(parameter.tensor.grad());
    if (average < 1) sum->second.mul_(average);
    sum->second.add_(method_ == "fisher" ? change.square() : change.abs(), average < 1 ? 1 - average : 1);
  }
}

std::map<std::string, at::Tensor> GradientScores::state() const {
  std::map<std::string, at::Tensor> state;
  for (const Parameter& parameter : parameters_.all())
    if (const auto sum = sums_.find(parameter.value); sum != sums_.end())
      state.emplace("score/" + parameter.name, sum->second);
  return state;
}

std::optional<std::vector<double>> GradientScores::elements(ValueId value) const {
  const auto found = sums_.find(value);
  if (found == sums_.end()) return std::nullopt;
  // Scores may come from a checkpoint.
  if (added_ == 0 && left_out_ > 0 && found->second.eq(0).all().item<bool>())
    fail_run(
        "prune: the gradients of all {} batches held inf or NaN, so nothing says which channels matter; check data and "
        "weights, or use --importance magnitude",
        left_out_);
  const at::Tensor host = found->second.to(at::kCPU, at::kDouble).contiguous();
  const double* data = host.const_data_ptr<double>();
  return std::vector<double>(data, data + host.numel());
}

at::Tensor sign_projection(std::span<const at::Tensor> outputs, uint64_t seed) {
  at::Tensor loss;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].is_floating_point() || !outputs[i].requires_grad()) continue;
    const at::Tensor values = outputs[i].to(at::kFloat);
    const at::Tensor signs = at::empty(values.sizes(), at::kFloat);
    auto* target = signs.mutable_data_ptr<float>();
    const RandomKey key{seed + i, random_stream("score signs")};
    for (int64_t n = 0; n < signs.numel(); ++n)
      target[n] = random_uniform(key, static_cast<uint64_t>(n)) < 0.5f ? -1.0f : 1.0f;
    const at::Tensor size = values.detach().square().mean().sqrt().add_(1e-12);
    const at::Tensor part = values.div(size).mul(signs.to(values.device())).mean();
    loss = loss.defined() ? loss.add(part) : part;
  }
  if (!loss.defined())
    fail_input("no output depends on the weights in a differentiable way; use --importance magnitude");
  return loss;
}

}  // namespace pare
