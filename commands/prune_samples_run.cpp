#include "commands/prune_samples_run.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ops/argmax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/log_softmax.h>

#include "commands/prune_setup_run.hpp"
#include "compress/input_norms.hpp"
#include "compress/reconstruct.hpp"
#include "src/core/random.hpp"
#include "src/train/loss.hpp"

namespace pare {
namespace {

// A value for each element of `like` [N, ...], by seed, sample and position.
at::Tensor drawn(const at::Tensor& like, const Batch& batch, RandomKey key, float (*draw)(RandomKey, uint64_t)) {
  const at::Tensor values = at::empty(like.sizes(), at::kFloat);
  auto* target = values.mutable_data_ptr<float>();
  const int64_t each = like.numel() / like.size(0);
  for (int64_t n = 0; n < like.size(0); ++n) {
    const auto sample = static_cast<uint64_t>(batch.indices[static_cast<size_t>(std::min(n, batch.size - 1))]);
    for (int64_t i = 0; i < each; ++i)
      target[n * each + i] = draw(key, sample * static_cast<uint64_t>(each) + static_cast<uint64_t>(i));
  }
  return values.to(like.device());
}

// The largest of logits plus such noise is a draw from their softmax (Gumbel).
float gumbel(RandomKey key, uint64_t counter) {
  const double uniform = (static_cast<double>(random_uniform(key, counter)) + 0x1p-25);
  return static_cast<float>(-std::log(-std::log(uniform)));
}

float sign(RandomKey key, uint64_t counter) { return random_uniform(key, counter) < 0.5f ? -1.0f : 1.0f; }

}  // namespace

ScoreSamples::ScoreSamples(const PruneOptions& options, const Graph& graph, const Parameters& parameters,
                           at::Device device, RunContext& context)
    : options_(options), graph_(graph), parameters_(parameters), device_(device), executor_(graph) {
  const DataOptions& data = options.data;
  const int64_t seed = options.compute.seed;
  samples_ = open_samples({data, graph, context, seed}, data.data, data.split);
  if (data.holdout > 0) samples_ = split_holdout(samples_, data.holdout, static_cast<uint64_t>(seed)).train;
  samples_ = limit(samples_, options.score_samples, static_cast<uint64_t>(seed));
  loader_config_.batch = std::min(options.training.batch, samples_->size());
  loader_config_.preprocess = preprocess_of(data);
  loader_config_.binding = bind_samples(graph, *samples_, data);
  with_context(options.model, [&] { require_float32(graph); });
}

void ScoreSamples::run(const Observation& observation) const {
  const c10::AutoGradMode no_grad(false);
  Loader loader(*samples_, loader_config_);
  loader.start(0);
  while (const Batch* batch = loader.next()) {
    executor_.run(parameters_, inputs_of(*batch, device_), false, &observation);
  }
}

at::Tensor ScoreSamples::loss_of(const at::Tensor& output, const Batch& batch) const {
  at::Tensor labels = labels_of(batch, device_);
  if (labels.defined()) return cross_entropy(output, labels, 0);
  const auto seed = static_cast<uint64_t>(options_.compute.seed);
  const at::Tensor values = output.to(at::kFloat);
  if (output.dim() == 2) {
    const c10::AutoGradMode no_grad(false);
    labels = at::argmax(
        at::log_softmax(values.detach(), 1).add_(drawn(values, batch, {seed, random_stream("score labels")}, gumbel)),
        1);
  }
  if (labels.defined()) return cross_entropy(output, labels, 0);
  const at::Tensor signs = drawn(values, batch, {seed, random_stream("score signs")}, sign);
  const at::Tensor size = values.detach().square().mean().sqrt().add_(1e-12);
  return values.div(size).mul(signs).mean();
}

void ScoreSamples::accumulate(Pruner& pruner) const {
  Loader loader(*samples_, loader_config_);
  const auto forget = [&] {
    for (const at::Tensor& leaf : parameters_.leaves()) leaf.mutable_grad() = at::Tensor();
  };
  loader.start(0);
  while (const Batch* batch = loader.next()) {
    forget();
    at::Tensor output = executor_.run(parameters_, inputs_of(*batch, device_), false).at(0);
    // Copies of the last sample fill up the batch of a model that takes no other size.
    if (output.dim() > 0 && batch->rows > batch->size && output.size(0) == batch->rows)
      output = output.narrow(0, 0, batch->size);
    loss_of(output, *batch).backward();
    pruner.after_backward();
  }
}

void ScoreSamples::prepare(const ImportanceMethod& method, const std::set<std::string>& weights, bool gradients,
                           Pruner& pruner) const {
  if (method.name == "wanda") {
    InputNorms norms(graph_, weights);
    run(norms.observation());
    pruner.set_input_norms(norms.norms());
  } else if (gradients && method.source == ScoreSource::gradients) {
    accumulate(pruner);
  }
}

void ScoreSamples::reconstruct(Pruner& pruner) const {
  const PruneConfig pruning = prune_config(options_);
  ReconstructConfig config;
  config.sparsity = target_sparsity(options_);
  config.pattern = pruning.pattern;
  config.scope = pruning.scope;
  pare::reconstruct(graph_, parameters_, pruner.masks(), config,
                    [this](const Observation& observation) { run(observation); });
  pruner.apply();
}

}  // namespace pare
