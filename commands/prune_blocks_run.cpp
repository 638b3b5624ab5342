#include "commands/prune_blocks_run.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ops/isfinite.h>

#include "commands/block_summary.hpp"
#include "commands/channel_samples_run.hpp"
#include "commands/latency_run.hpp"
#include "commands/shrunk_result_run.hpp"
#include "compress/channel_groups.hpp"
#include "formats/onnx_writer.hpp"
#include "src/core/error.hpp"
#include "src/graph/cost.hpp"

namespace pare {
namespace {

using BlockSet = std::vector<bool>;  // by block: true where it is removed

// How far outputs move when branches are left out.
class BlockScorer {
 public:
  BlockScorer(const ChannelSamples& samples, const Graph& graph, const Graph& sized, at::Device device)
      : batches_(samples.score_inputs(sized)), device_(device), reference_(outputs_of(graph)) {
    for (const auto& outputs : reference_)
      for (size_t i = 0; i < outputs.size(); ++i)
        if (outputs[i].is_floating_point() && !at::isfinite(outputs[i]).all().item<bool>())
          fail_input(
              "prune: output '{}' holds inf or NaN on the samples, so nothing says which blocks matter; check data and "
              "weights",
              graph.value(graph.outputs[i].value).name);
  }

  // |difference| / |reference|, each the 2-norm of an output over all samples; the mean over the outputs. Infinite when
  // an output is not finite or changes its shape.
  double score(const Graph& changed) const {
    const auto outputs = outputs_of(changed);
    std::vector<double> difference(reference_[0].size(), 0), size(reference_[0].size(), 0);
    for (size_t b = 0; b < outputs.size(); ++b) {
      for (size_t i = 0; i < outputs[b].size(); ++i) {
        const at::Tensor& expected = reference_[b][i];
        const at::Tensor& found = outputs[b][i];
        if (!expected.is_floating_point()) continue;
        if (expected.sizes() != found.sizes()) return std::numeric_limits<double>::infinity();
        difference[i] += found.to(at::kDouble).sub(expected.to(at::kDouble)).square().sum().item<double>();
        size[i] += expected.to(at::kDouble).square().sum().item<double>();
      }
    }
    double sum = 0;
    int64_t counted = 0;
    for (size_t i = 0; i < size.size(); ++i) {
      if (size[i] == 0) continue;
      sum += std::sqrt(difference[i] / size[i]);
      ++counted;
    }
    if (counted == 0) fail_run("prune: every output is zero, so nothing says which blocks matter");
    return std::isfinite(sum) ? sum / static_cast<double>(counted) : std::numeric_limits<double>::infinity();
  }

  int64_t samples() const {
    int64_t count = 0;
    for (const auto& inputs : batches_) count += inputs.empty() || inputs[0].dim() == 0 ? 1 : inputs[0].size(0);
    return count;
  }

 private:
  std::vector<std::vector<at::Tensor>> outputs_of(const Graph& graph) const {
    const c10::AutoGradMode no_grad(false);
    const Graph inference = inference_graph(graph);
    const Executor executor(inference);
    const Parameters parameters(inference, device_, Training::off);
    std::vector<std::vector<at::Tensor>> outputs;
    for (const auto& inputs : batches_) {
      std::vector<at::Tensor> given;
      for (const at::Tensor& input : inputs) given.push_back(input.to(device_));
      outputs.push_back(executor.run(parameters, given, false));
    }
    return outputs;
  }

  std::vector<std::vector<at::Tensor>> batches_;
  at::Device device_;
  std::vector<std::vector<at::Tensor>> reference_;
};

// What a target counts, of a choice of blocks; and at most how much of it may be left.
struct BlockTarget {
  std::function<double(const BlockSet&)> left;
  double most = 0;
};

struct Removal {
  BlockSet removed;
  std::vector<double> scores;  // when it was removed; of those that stay the last known
  bool reached = false;
};

// Removes the block whose removal moves the outputs least, one by one, every score measured anew after each; then takes
// back what the target does not need, the most important first.
Removal remove_greedily(const Graph& graph, const std::vector<ResidualBlock>& blocks, const BlockSet& selected,
                        const BlockScorer& scorer, const BlockTarget& target) {
  Removal removal{BlockSet(blocks.size(), false), std::vector<double>(blocks.size(), 0), false};
  std::vector<size_t> order;
  const auto gone = [&](size_t i) {
    // In the branch of a block that went.
    return std::any_of(order.begin(), order.end(), [&](size_t outer) {
      const auto& nodes = blocks[outer].nodes;
      return std::binary_search(nodes.begin(), nodes.end(), blocks[i].add);
    });
  };
  while (target.left(removal.removed) > target.most) {
    size_t best = blocks.size();
    for (size_t i = 0; i < blocks.size(); ++i) {
      if (!selected[i] || removal.removed[i] || gone(i)) continue;
      BlockSet tried = removal.removed;
      tried[i] = true;
      removal.scores[i] = scorer.score(without_blocks(graph, blocks, tried));
      if (best == blocks.size() || removal.scores[i] < removal.scores[best]) best = i;
    }
    if (best == blocks.size()) return removal;
    removal.removed[best] = true;
    order.push_back(best);
  }
  removal.reached = true;
  for (size_t k = order.size(); k-- > 0;) {
    removal.removed[order[k]] = false;
    if (target.left(removal.removed) > target.most) removal.removed[order[k]] = true;
  }
  return removal;
}

BlockTarget target_of(const PruneOptions& options, const Graph& graph, const std::vector<ResidualBlock>& blocks,
                      const BlockSet& selected, const ChannelSamples& samples, const LatencyMeter* meter) {
  const ChannelOptions& channels = options.channels;
  const auto cost = [&graph, &blocks, &samples](const BlockSet& removed) {
    return graph_cost(with_sizes(without_blocks(graph, blocks, removed), samples.shapes()));
  };
  BlockTarget target;
  if (meter != nullptr) {
    target.left = [&graph, &blocks, meter](const BlockSet& removed) {
      const bool none = std::none_of(removed.begin(), removed.end(), [](bool gone) { return gone; });
      return none ? 1 : meter->share(without_blocks(graph, blocks, removed));
    };
    target.most = channels.keep_latency * LatencyMeter::margin;
  } else if (channels.keep_macs > 0 || channels.keep_params > 0) {
    const bool macs = channels.keep_macs > 0;
    target.left = [cost, macs](const BlockSet& removed) {
      const GraphCost left = cost(removed);
      return static_cast<double>(macs ? left.macs : left.parameters);
    };
    target.most = target.left(BlockSet(blocks.size(), false)) * (macs ? channels.keep_macs : channels.keep_params);
  } else {
    target.left = [&selected](const BlockSet& removed) {
      double kept = 0;
      for (size_t i = 0; i < removed.size(); ++i) kept += selected[i] && !removed[i] ? 1 : 0;
      return kept;
    };
    target.most = target.left(BlockSet(blocks.size(), false)) * (1 - options.sparsity) + 1e-9;
  }
  return target;
}

// The blocks that may go. Throws (exit 3) when there are none.
BlockSet removable(const PruneOptions& options, const Graph& graph, const ResidualBlocks& found) {
  BlockSet selected(found.blocks.size(), false);
  if (!found.blocks.empty()) selected = select_blocks(graph, found.blocks, options.include, options.exclude);
  if (std::find(selected.begin(), selected.end(), true) != selected.end()) return selected;
  if (!found.blocks.empty())
    fail_input("prune: no residual block can be removed: --include and --exclude leave none of {}",
               found.blocks.size());
  if (found.kept.empty())
    fail_input("prune: no residual block can be removed: the model has no Add of two computed values");
  fail_input("prune: no residual block can be removed: of {} Add nodes none adds a branch to what it is made from; {}",
             found.kept.size(),
             fmt::format("node '{}': {}{}", found.kept[0].node, found.kept[0].reason,
                         found.kept.size() > 1 ? "; `pare inspect --groups` names the others" : ""));
}

}  // namespace

ExitCode prune_blocks(const PruneOptions& options, LoadedModel loaded, at::Device device, RunContext& context) {
  const Graph graph = with_folded_sizes(loaded.graph);
  const ChannelSamples samples(options, graph, device, context);
  const Graph sized = with_sizes(graph, samples.shapes());
  const ResidualBlocks found = residual_blocks(graph, samples.shapes());
  const BlockSet selected = removable(options, graph, found);
  std::optional<LatencyMeter> meter;
  if (options.channels.keep_latency > 0) meter.emplace(loaded, samples.inputs(sized), options.compute.threads, device);
  const BlockTarget target = target_of(options, graph, found.blocks, selected, samples, meter ? &*meter : nullptr);
  const BlockScorer scorer = samples.checked([&] { return BlockScorer(samples, graph, sized, device); });
  Removal removal;
  if (const Json kept = kept_choice(options, "removed", found.blocks.size()); kept.is_object()) {
    removal.removed = kept.at("removed").get<BlockSet>();
    // Infinity is null there.
    for (const Json& score : kept.at("scores"))
      removal.scores.push_back(score.is_null() ? std::numeric_limits<double>::infinity() : score.get<double>());
    removal.reached = kept.at("reached").get<bool>();
  } else {
    removal = remove_greedily(graph, found.blocks, selected, scorer, target);
    keep_choice(options, {{"removed", removal.removed}, {"scores", removal.scores}, {"reached", removal.reached}});
  }
  const Graph shrunk = without_blocks(graph, found.blocks, removal.removed);
  const Graph after = with_sizes(shrunk, samples.shapes());
  context.report.plan = {{"blocks", blocks_json(sized, found.blocks, removal.removed, removal.scores)},
                         {"score_samples", scorer.samples()},
                         {"macs_before", graph_cost(sized).macs},
                         {"macs_after", graph_cost(after).macs},
                         {"parameters_before", graph_cost(graph).parameters},
                         {"parameters_after", graph_cost(shrunk).parameters},
                         {"reached", removal.reached},
                         {"kept", kept_adds_json(found.kept)}};
  if (options.output.dry_run) {
    context.print(blocks_text(sized, found.blocks, removal.removed, removal.scores));
    return ExitCode::ok;
  }
  const ShrinkProof proof = samples.checked([&] {
    return proved_shrink(with_zeroed_blocks(graph, found.blocks, removal.removed), shrunk, samples.inputs(sized));
  });
  Model result = loaded.model;
  result.onnx = with_graph(loaded.model.onnx, shrunk);
  const ShrunkResult smaller{std::move(result), sized, after, proof};
  if (finish_shrunk(options, loaded, smaller, samples, device, context) == ExitCode::preempted)
    return ExitCode::preempted;
  const bool verified = !meter || verify_latency(options, *meter, context);
  return removal.reached && verified ? ExitCode::ok : ExitCode::goal_missed;
}

}  // namespace pare
