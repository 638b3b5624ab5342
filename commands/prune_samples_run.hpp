// Scores that come before or without training: samples run through the model as it is.
#pragma once

#include <set>

#include "commands/engine_run.hpp"
#include "commands/prune.hpp"
#include "compress/pruner.hpp"

namespace pare {

class ScoreSamples {
 public:
  // --score-samples of the samples, drawn by seed. Throws exit 2 and 3 for what does not fit the model.
  ScoreSamples(const PruneOptions& options, const Graph& graph, const Parameters& parameters, at::Device device,
               RunContext& context);

  // Runs the model over all samples, without gradients and with the running statistics of batch normalizations.
  void run(const Observation& observation) const;

  // Runs forward and backward, and gives the pruner the gradients of every batch. The loss is the cross-entropy to the
  // labels; without labels, to classes drawn by seed from the model's own softmax (the gradient of the distance to its
  // own outputs would be zero), and for outputs that are no logits a projection on random signs.
  void accumulate(Pruner& pruner) const;

  // What the method needs before the masks are renewed for the first time: wanda's norms, gradients when `gradients`.
  void prepare(const ImportanceMethod& method, const std::set<std::string>& weights, bool gradients,
               Pruner& pruner) const;

  // Prunes and refits by sparsegpt.
  void reconstruct(Pruner& pruner) const;

 private:
  at::Tensor loss_of(const std::vector<at::Tensor>& outputs, const Batch& batch) const;

  const PruneOptions& options_;
  const Graph& graph_;
  const Parameters& parameters_;
  at::Device device_;
  Executor executor_;
  bool logits_;  // the first output's values are classes before a softmax
  DatasetPtr samples_;
  LoaderConfig loader_config_;
};

}  // namespace pare
