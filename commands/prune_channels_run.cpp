#include "commands/prune_channels_run.hpp"

#include <algorithm>

#include "commands/channel_samples_run.hpp"
#include "commands/channel_summary.hpp"
#include "commands/shrunk_result_run.hpp"
#include "formats/onnx_writer.hpp"
#include "src/core/error.hpp"
#include "src/core/table.hpp"
#include "src/graph/cost.hpp"

namespace pare {
namespace {

struct Choice {
  Widths widths;
  RemovedUnits removed;
  bool reached = false;
};

// The widths for a target that they say exactly: channels, MACs, parameters.
ChannelChoice choose_by_cost(const PruneOptions& options, const ChannelGroups& groups, const GroupScores& scores,
                             const std::vector<bool>& selected, const ChannelLimits& limits) {
  const ChannelCost cost(groups);
  const ChannelOptions& channels = options.channels;
  WidthCost counted = [&](const Widths& widths) {
    // Of what may go: the channels of the selected groups.
    double kept = 0;
    for (size_t g = 0; g < widths.size(); ++g) kept += selected[g] ? static_cast<double>(widths[g]) : 0;
    return kept;
  };
  double keep = 1 - options.sparsity;
  if (channels.keep_macs > 0) {
    keep = channels.keep_macs;
    counted = [&](const Widths& widths) { return cost.macs(widths); };
  } else if (channels.keep_params > 0) {
    keep = channels.keep_params;
    counted = [&](const Widths& widths) { return cost.parameters(widths); };
  }
  // Sums of products round: what is the target exactly counts as met.
  const double target = counted(ChannelCost::full(groups)) * keep * (1 + 1e-12);
  return choose_widths(groups, scores, selected, limits, counted, target);
}

// The widest choice whose measured latency is at or under the target, by bisection of the MACs.
ChannelChoice choose_by_latency(const PruneOptions& options, const Graph& graph, const ChannelGroups& groups,
                                const GroupScores& scores, const std::vector<bool>& selected,
                                const ChannelLimits& limits, const LatencyMeter& meter) {
  constexpr int measurements = 7;
  const ChannelCost cost(groups);
  const auto at = [&](double share) {
    return choose_widths(
        groups, scores, selected, limits, [&](const Widths& widths) { return cost.macs(widths); },
        share * cost.macs(ChannelCost::full(groups)));
  };
  const auto latency = [&](const ChannelChoice& choice) {
    return meter.share(shrink(graph, groups, removed_units(groups, scores, choice.widths)));
  };
  const double target = options.channels.keep_latency * LatencyMeter::margin;
  ChannelChoice best = at(0);
  best.reached = latency(best) <= target;
  double low = 0, high = 1;
  for (int i = 0; best.reached && i < measurements; ++i) {
    const double middle = (low + high) / 2;
    ChannelChoice choice = at(middle);
    const double here = choice.reached ? latency(choice) : target + 1;
    if (here <= target) best = choice;
    // What is too narrow for any widths says nothing of wider ones.
    if (here <= target || !choice.reached) low = middle;
    else high = middle;
  }
  return best;
}

Choice choose(const PruneOptions& options, const Graph& graph, const ChannelGroups& groups, const GroupScores& scores,
              const std::vector<bool>& selected, const LatencyMeter* meter) {
  const ChannelLimits limits{options.channels.round_to, options.channels.min_keep, channel_scope(options)};
  Choice choice;
  const ChannelChoice widths = meter != nullptr
                                   ? choose_by_latency(options, graph, groups, scores, selected, limits, *meter)
                                   : choose_by_cost(options, groups, scores, selected, limits);
  choice.widths = widths.widths;
  choice.reached = widths.reached;
  choice.removed = removed_units(groups, scores, choice.widths);
  return choice;
}

Json widths_json(const Graph& graph, const ChannelGroups& groups, const Widths& widths) {
  Json rows = Json::array();
  for (size_t g = 0; g < groups.groups.size(); ++g)
    rows.push_back({{"layers", members_text(graph, groups.groups[g], MemberSide::producer, 8)},
                    {"before", groups.groups[g].size()},
                    {"after", widths[g]}});
  return rows;
}

std::string widths_text(const Graph& graph, const ChannelGroups& groups, const Widths& widths) {
  Table table({"layers", "before", "after"});
  for (size_t g = 0; g < groups.groups.size(); ++g)
    table.add({members_text(graph, groups.groups[g], MemberSide::producer, 2), count_text(groups.groups[g].size()),
               count_text(widths[g])});
  return table.text();
}

// The groups that may lose channels. Throws (exit 3) when there are none.
std::vector<bool> prunable(const PruneOptions& options, const Graph& graph, const ChannelGroups& groups) {
  std::vector<bool> selected = select_groups(graph, groups, options.include, options.exclude);
  const ChannelLimits limits{options.channels.round_to, options.channels.min_keep, channel_scope(options)};
  bool any = false;
  for (size_t g = 0; g < selected.size(); ++g) {
    if (options.structure == "head" && !groups.groups[g].heads) selected[g] = false;
    any = any || (selected[g] && legal_widths(groups.groups[g], limits).size() > 1);
  }
  if (!any)
    fail_input(
        "prune: no {} can be removed: {} groups are narrower than --round-to and --min-keep allow or not selected, and "
        "{} nodes keep theirs; `pare inspect --groups` names them",
        options.structure, groups.groups.size(), groups.barriers.size());
  return selected;
}

Model masked_model(const Model& model, const Graph& original, const Graph& masked) {
  Model result = model;
  std::map<std::string, Tensor> changed;
  for (size_t i = 0; i < masked.values.size() && i < original.values.size(); ++i) {
    const auto& constant = masked.values[i].constant;
    if (!constant || !original.values[i].constant || constant->data.data() == original.values[i].constant->data.data())
      continue;
    const std::string& name = original.values[i].name;
    changed[name] = *constant;
    if (std::find(result.masked.begin(), result.masked.end(), name) == result.masked.end())
      result.masked.push_back(name);
  }
  result.onnx = with_tensors(model.onnx, changed);
  return result;
}

}  // namespace

ExitCode prune_channels(const PruneOptions& options, LoadedModel loaded, at::Device device, RunContext& context) {
  const Graph graph = with_folded_sizes(loaded.graph);
  const ChannelSamples samples(options, graph, device);
  const Factor factor = options.structure == "head" ? Factor::heads : Factor::channels;
  const ChannelGroups groups = channel_groups(graph, factor, samples.shapes());
  const std::vector<bool> selected = prunable(options, graph, groups);
  const GroupScores scores = samples.scores(graph, groups);
  std::optional<LatencyMeter> meter;
  if (options.channels.keep_latency > 0)
    meter.emplace(loaded, samples.inputs(groups.sized), options.compute.threads, device);
  const Choice choice = choose(options, graph, groups, scores, selected, meter ? &*meter : nullptr);
  const Graph shrunk = shrink(graph, groups, choice.removed);
  context.report.plan = {{"widths", widths_json(graph, groups, choice.widths)},
                         {"macs_before", graph_cost(groups.sized).macs},
                         {"macs_after", graph_cost(with_sizes(shrunk, samples.shapes())).macs},
                         {"parameters_before", graph_cost(graph).parameters},
                         {"parameters_after", graph_cost(shrunk).parameters},
                         {"reached", choice.reached},
                         {"barriers", barriers_json(groups.barriers)}};
  if (options.output.dry_run) {
    context.print(widths_text(graph, groups, choice.widths));
    return ExitCode::ok;
  }
  const Graph masked = mask_channels(graph, groups, choice.removed);
  const ShrinkProof proof = proved_shrink(masked, shrunk, samples.inputs(groups.sized));
  Model result = options.mask_only ? masked_model(loaded.model, graph, masked) : loaded.model;
  if (!options.mask_only) result.onnx = with_graph(loaded.model.onnx, shrunk);
  const Graph& sized = options.mask_only ? groups.sized : with_sizes(shrunk, samples.shapes());
  const ShrunkResult smaller{std::move(result), groups.sized, sized, proof};
  if (finish_shrunk(options, loaded, smaller, samples, device, context) == ExitCode::preempted)
    return ExitCode::preempted;
  const bool verified = !meter || verify_latency(options, *meter, context);
  return choice.reached && verified ? ExitCode::ok : ExitCode::goal_missed;
}

}  // namespace pare
