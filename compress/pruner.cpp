#include "compress/pruner.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "compress/allocation.hpp"
#include "kernels/mask.hpp"
#include "src/core/error.hpp"
#include "src/core/random.hpp"

namespace pare {
namespace {

// A gradient in the weight's memory layout, as the kernels see both as flat arrays.
at::Tensor laid_out_as(const at::Tensor& gradient, const at::Tensor& weight) {
  if (gradient.strides() == weight.strides()) return gradient;
  at::Tensor result = at::zeros_like(weight);
  result.copy_(gradient);
  return result;
}

// Uniform scores by seed, weight and row-major position: the same on every device and in every memory layout.
at::Tensor random_scores(const at::Tensor& weight, const std::string& name, uint64_t seed) {
  const at::Tensor values = at::empty(weight.sizes(), at::kFloat);
  auto* target = values.mutable_data_ptr<float>();
  const RandomKey key{seed, random_stream("prune/" + name)};
  for (int64_t i = 0; i < values.numel(); ++i) target[i] = random_uniform(key, static_cast<uint64_t>(i));
  at::Tensor scores = at::zeros_like(weight);
  scores.copy_(values);
  return scores;
}

// How many of `all` a sparsity prunes: at least the asked share, but never everything.
int64_t pruned_count(double sparsity, int64_t all) {
  const auto wanted = static_cast<int64_t>(std::ceil(sparsity * static_cast<double>(all) - 1e-9));
  return std::clamp<int64_t>(wanted, 0, std::max<int64_t>(0, all - 1));
}

// The view that single weights need: none. Patterns need the layer's.
WeightLayout layout_for(const Pattern& pattern, const Graph& graph, ValueId weight) {
  if (pattern.kind == Pattern::Kind::weight) return {};
  return weight_layout(graph, weight);
}

}  // namespace

Pruner::Pruner(const Graph& graph, const Parameters& parameters, const Optimizer* optimizer, PruneConfig config,
               const std::function<bool(const std::string&)>& selected, const std::vector<std::string>& masked)
    : config_(std::move(config)) {
  const c10::AutoGradMode no_grad(false);
  for (const Parameter& parameter : parameters.all()) {
    const bool weight_role = parameter.role == Role::weight || parameter.role == Role::moved_weight;
    if (!weight_role || !selected(parameter.name)) continue;
    const at::Tensor weight = parameter.tensor.detach();
    if (!at::isfinite(weight).all().item<bool>())
      fail_input("weight '{}': holds NaN or infinity; repair the model or leave it out with --exclude", parameter.name);
    Target target;
    target.weight = parameter.tensor;
    target.ranked = {parameter.name, layout_for(config_.pattern, graph, parameter.value), at::zeros_like(weight),
                     at::ones_like(weight, weight.options().dtype(at::kByte))};
    if (std::find(masked.begin(), masked.end(), parameter.name) != masked.end()) target.ranked.mask.copy_(weight.ne(0));
    if (splices()) target.dense = weight.clone();
    if (optimizer != nullptr)
      for (const OptimizerState& state : optimizer->states())
        if (state.name == parameter.name) target.moments = state.moments;
    targets_.push_back(std::move(target));
  }
  if (targets_.empty())
    fail_usage(
        "prune: no weight of a convolution, matrix product or recurrent layer is selected; check --include and "
        "--exclude");
  device_.cuda = targets_.front().weight.is_cuda();
  found_inf_ = at::zeros({1}, targets_.front().weight.options().requires_grad(false));
  skipped_ = at::zeros_like(found_inf_);
  pending_ = at::zeros({}, at::kBool);
}

void Pruner::set_input_norms(const std::map<std::string, at::Tensor>& norms) {
  for (Target& target : targets_)
    if (const auto norm = norms.find(target.ranked.name); norm != norms.end()) target.norms = norm->second;
}

void Pruner::after_backward(const at::Tensor& found_inf) {
  const c10::AutoGradMode no_grad(false);
  if (splices())
    for (Target& target : targets_) target.weight.copy_(target.dense);
  if (!needs_gradients()) return;
  std::vector<kernels::ScoreTensor> tensors;
  std::vector<at::Tensor> gradients;
  for (const Target& target : targets_) {
    if (!target.weight.grad().defined()) continue;
    gradients.push_back(laid_out_as(target.weight.grad(), target.weight));
    tensors.push_back({target.weight.const_data_ptr<float>(), gradients.back().const_data_ptr(),
                       kernels::FloatType::fp32, target.ranked.score.mutable_data_ptr<float>(), target.weight.numel()});
  }
  kernels::ScoreStep step;
  step.importance = config_.method.importance;
  const bool sum = config_.average >= 1;
  step.accumulate = sum ? kernels::Accumulate::sum : kernels::Accumulate::average;
  step.decay = sum ? 0.0f : static_cast<float>(config_.average);
  step.check_gradients = !found_inf.defined();
  const at::Tensor& flag = found_inf.defined() ? found_inf : found_inf_;
  kernels::accumulate_scores(device_, step, tensors, flag.mutable_data_ptr<float>());
  skipped_.add_(flag);
  ++scored_;
}

void Pruner::after_step(int64_t step, const at::Tensor& found_inf) {
  const c10::AutoGradMode no_grad(false);
  if (splices())
    for (Target& target : targets_) target.dense.copy_(target.weight);
  if (schedule_ && (schedule_->due(step, config_.regrow > 0) || pending_.item<bool>())) {
    const bool skipped = found_inf.defined() && found_inf.item<float>() != 0;
    pending_.fill_(skipped);
    if (!skipped) renew_masks(schedule_->at(step), schedule_->progress(step));
  }
  apply();
}

void Pruner::prune(double sparsity) {
  const c10::AutoGradMode no_grad(false);
  renew_masks(sparsity, 1);
  apply();
}

std::map<std::string, at::Tensor> Pruner::masks() const {
  std::map<std::string, at::Tensor> masks;
  for (const Target& target : targets_) masks.emplace(target.ranked.name, target.ranked.mask);
  return masks;
}

// Scores that are not accumulated, from the weights as they are now.
void Pruner::score() {
  if (needs_gradients()) return;
  for (Target& target : targets_) {
    at::Tensor& score = target.ranked.score;
    if (config_.method.name == "random") {
      score.copy_(random_scores(target.weight, target.ranked.name, config_.seed));
      continue;
    }
    score.copy_(target.weight.abs());
    if (config_.method.source != ScoreSource::activations) continue;
    if (!target.norms.defined())
      fail_input("weight '{}': {} needs the input of its layer, which is not to be seen; leave it out with --exclude",
                 target.ranked.name, config_.method.name);
    score.mul_(target.norms);
  }
}

void Pruner::check_scores() const {
  if (needs_gradients() && scored_ > 0 && skipped_.item<double>() >= static_cast<double>(scored_)) {
    for (const Target& target : targets_)
      if (target.weight.grad().defined() && !at::isfinite(target.weight.grad()).all().item<bool>())
        fail_run("weight '{}': its gradient held NaN or infinity in every step; try a smaller --lr or --precision fp32",
                 target.ranked.name);
    fail_run("prune: a gradient held NaN or infinity in every step; try a smaller --lr or --precision fp32");
  }
  for (const Target& target : targets_)
    if (target.ranked.score.isnan().any().item<bool>())
      fail_run("weight '{}': a score is NaN; try a smaller --lr or another --importance", target.ranked.name);
}

void Pruner::renew_masks(double sparsity, double progress) {
  score();
  check_scores();
  std::vector<RankedWeight> ranked;
  for (const Target& target : targets_) ranked.push_back(target.ranked);
  // |sum| where the sum is signed; what is accumulated stays as it is.
  if (config_.method.importance == kernels::Importance::snip)
    for (RankedWeight& weight : ranked) weight.score = weight.score.abs();
  if (config_.scope == "global") {
    select(ranked, sparsity);
    regrow(ranked, targets_, progress);
    return;
  }
  std::vector<double> densities(ranked.size(), 1 - sparsity);
  if (config_.scope == "erk") {
    std::vector<Shape> shapes;
    std::vector<int64_t> blocks;
    for (const Target& target : targets_) {
      shapes.push_back(target.weight.sizes().vec());
      if (config_.pattern.kind == Pattern::Kind::block) blocks.push_back(count_blocks(target.ranked, config_.pattern));
    }
    densities = erk_densities(shapes, 1 - sparsity, blocks);
  }
  for (size_t i = 0; i < ranked.size(); ++i) {
    select({&ranked[i], 1}, 1 - densities[i]);
    regrow({&ranked[i], 1}, {&targets_[i], 1}, progress);
  }
}

void Pruner::select(std::span<RankedWeight> ranked, double sparsity) {
  int64_t elements = 0;
  int64_t pruned = 0;
  bool any = false;
  for (const RankedWeight& weight : ranked) {
    elements += weight.score.numel();
    pruned += weight.mask.eq(0).sum().item<int64_t>();
    any = any || weight.score.mul(weight.mask).ne(0).any().item<bool>();
  }
  if (elements == pruned) return;
  if (!any)
    fail_run(
        "prune: all scores of '{}'{} are zero, so nothing says which weights matter; use labels, more data or "
        "--importance magnitude",
        ranked.front().name, ranked.size() > 1 ? " and the other weights" : "");
  const Pattern& pattern = config_.pattern;
  switch (pattern.kind) {
    case Pattern::Kind::weight:
      prune_smallest(ranked, std::max(pruned, pruned_count(sparsity, elements)));
      break;
    case Pattern::Kind::n_of_m: {
      const int kept = static_cast<int>(std::floor((1 - sparsity) * pattern.m + 1e-9));
      if (kept < pattern.m)
        for (RankedWeight& weight : ranked) prune_neighbours(weight, std::max(kept, pattern.n), pattern.m);
      break;
    }
    case Pattern::Kind::block: {
      int64_t blocks = 0;
      for (const RankedWeight& weight : ranked) blocks += count_blocks(weight, pattern);
      prune_blocks(ranked, pattern, pruned_count(sparsity, blocks));
      break;
    }
  }
}

void Pruner::regrow(std::span<RankedWeight> ranked, std::span<const Target> targets, double progress) {
  if (config_.regrow <= 0 || progress >= 1) return;
  int64_t kept = 0;
  std::vector<at::Tensor> growth;
  for (size_t i = 0; i < ranked.size(); ++i) {
    kept += ranked[i].mask.sum().item<int64_t>();
    if (splices()) growth.push_back(ranked[i].score);
    else if (targets[i].weight.grad().defined())
      growth.push_back(laid_out_as(targets[i].weight.grad(), targets[i].weight).abs());
    else growth.push_back(at::zeros_like(ranked[i].score));
  }
  const double share = config_.regrow / 2 * (1 + std::cos(progress * std::numbers::pi));
  const auto exchanged = static_cast<int64_t>(share * static_cast<double>(kept));
  if (exchanged > 0) exchange(ranked, growth, exchanged);
}

void Pruner::apply() {
  const c10::AutoGradMode no_grad(false);
  std::vector<kernels::MaskedTensor> tensors;
  for (Target& target : targets_) {
    kernels::MaskedTensor masked{target.ranked.mask.const_data_ptr<uint8_t>(), {}, target.weight.numel()};
    size_t next = 0;
    masked.values[next++] = target.weight.mutable_data_ptr<float>();
    // Behind the mask a spliced weight goes on, with its moments and its score.
    if (!splices()) {
      masked.values[next++] = target.ranked.score.mutable_data_ptr<float>();
      for (at::Tensor& moment : target.moments) masked.values[next++] = moment.mutable_data_ptr<float>();
    }
    tensors.push_back(masked);
  }
  kernels::apply_masks(device_, tensors);
}

int64_t Pruner::selected_elements() const {
  int64_t elements = 0;
  for (const Target& target : targets_) elements += target.weight.numel();
  return elements;
}

int64_t Pruner::selected_units() const {
  if (config_.pattern.kind != Pattern::Kind::block) return selected_elements();
  int64_t blocks = 0;
  for (const Target& target : targets_) blocks += count_blocks(target.ranked, config_.pattern);
  return blocks;
}

double Pruner::sparsity() const {
  int64_t kept = 0;
  for (const Target& target : targets_) kept += target.ranked.mask.sum().item<int64_t>();
  return 1.0 - static_cast<double>(kept) / static_cast<double>(selected_elements());
}

double Pruner::pruned_share() const {
  if (config_.pattern.kind != Pattern::Kind::block) return sparsity();
  int64_t pruned = 0;
  for (const Target& target : targets_) pruned += count_pruned_blocks(target.ranked, config_.pattern);
  return static_cast<double>(pruned) / static_cast<double>(selected_units());
}

std::vector<std::string> Pruner::emptied() const {
  std::vector<std::string> names;
  for (const Target& target : targets_)
    if (target.weight.numel() > 0 && !target.ranked.mask.any().item<bool>()) names.push_back(target.ranked.name);
  return names;
}

std::vector<std::string> Pruner::names() const {
  std::vector<std::string> names;
  for (const Target& target : targets_) names.push_back(target.ranked.name);
  return names;
}

std::map<std::string, at::Tensor> Pruner::state() const {
  std::map<std::string, at::Tensor> tensors;
  for (const Target& target : targets_) {
    tensors.emplace("mask/" + target.ranked.name, target.ranked.mask);
    tensors.emplace("score/" + target.ranked.name, target.ranked.score);
    if (target.dense.defined()) tensors.emplace("dense/" + target.ranked.name, target.dense);
  }
  tensors.emplace("masks pending", pending_);
  return tensors;
}

}  // namespace pare
