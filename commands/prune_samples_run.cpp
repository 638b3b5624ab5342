#include "commands/prune_samples_run.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ops/argmax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/log_softmax.h>

#include "commands/prune_setup_run.hpp"
#include "compress/gradient_scores.hpp"
#include "compress/input_norms.hpp"
#include "compress/reconstruct.hpp"
#include "src/core/random.hpp"
#include "src/train/loss.hpp"
#include "src/train/loss_plan.hpp"

namespace pare {
namespace {

// The largest of logits plus such noise is a draw from their softmax (Gumbel).
float gumbel(RandomKey key, uint64_t counter) {
  const double uniform = (static_cast<double>(random_uniform(key, counter)) + 0x1p-25);
  return static_cast<float>(-std::log(-std::log(uniform)));
}

// Labels drawn from the softmax of logits [N, K], by seed and sample.
at::Tensor drawn_labels(const at::Tensor& logits, const Batch& batch, uint64_t seed) {
  const c10::AutoGradMode no_grad(false);
  const at::Tensor noise = at::empty(logits.sizes(), at::kFloat);
  auto* target = noise.mutable_data_ptr<float>();
  const RandomKey key{seed, random_stream("score labels")};
  const int64_t classes = logits.size(1);
  for (int64_t n = 0; n < logits.size(0); ++n) {
    const auto sample = static_cast<uint64_t>(batch.indices[static_cast<size_t>(std::min(n, batch.size - 1))]);
    for (int64_t i = 0; i < classes; ++i)
      target[n * classes + i] = gumbel(key, sample * static_cast<uint64_t>(classes) + static_cast<uint64_t>(i));
  }
  return at::argmax(at::log_softmax(logits.detach(), 1).add_(noise.to(logits.device())), 1);
}

}  // namespace

ScoreSamples::ScoreSamples(const PruneOptions& options, const Graph& graph, const Parameters& parameters,
                           at::Device device, RunContext& context)
    : options_(options),
      graph_(graph),
      parameters_(parameters),
      device_(device),
      executor_(graph),
      logits_(looks_like_logits(graph, graph.outputs.front().value)) {
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

at::Tensor ScoreSamples::loss_of(const std::vector<at::Tensor>& outputs, const Batch& batch) const {
  const at::Tensor labels = labels_of(batch, device_);
  if (labels.defined()) return cross_entropy(outputs.front(), labels, 0);
  const auto seed = static_cast<uint64_t>(options_.compute.seed);
  if (!logits_) return sign_projection(outputs, seed + static_cast<uint64_t>(batch.indices.front()));
  return cross_entropy(outputs.front(), drawn_labels(outputs.front().to(at::kFloat), batch, seed), 0);
}

void ScoreSamples::accumulate(Pruner& pruner) const {
  Loader loader(*samples_, loader_config_);
  const auto forget = [&] {
    for (const at::Tensor& leaf : parameters_.leaves()) leaf.mutable_grad() = at::Tensor();
  };
  loader.start(0);
  while (const Batch* batch = loader.next()) {
    forget();
    const auto outputs = rows_of(executor_.run(parameters_, inputs_of(*batch, device_), false), *batch);
    loss_of(outputs, *batch).backward();
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
