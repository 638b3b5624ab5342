#include "commands/prune_channels_run.hpp"

#include <algorithm>
#include <memory>

#include "commands/channel_samples_run.hpp"
#include "commands/channel_summary.hpp"
#include "commands/prune_gradually_run.hpp"
#include "commands/shrunk_result_run.hpp"
#include "compress/channel_latency.hpp"
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
  Json measured = Json::object();  // for the plan
};

// What --sparsity, --keep-macs or --keep-params count, as a function of the widths, and the share that is left.
struct CountedTarget {
  WidthCost cost;
  double keep = 1;
};

CountedTarget counted_target(const PruneOptions& options, const ChannelGroups& groups,
                             const std::vector<bool>& selected) {
  const auto cost = std::make_shared<ChannelCost>(groups);
  const ChannelOptions& channels = options.channels;
  if (channels.keep_macs > 0) return {[cost](const Widths& widths) { return cost->macs(widths); }, channels.keep_macs};
  if (channels.keep_params > 0)
    return {[cost](const Widths& widths) { return cost->parameters(widths); }, channels.keep_params};
  // Of what may go: the channels of the selected groups.
  return {[selected](const Widths& widths) {
            double kept = 0;
            for (size_t g = 0; g < widths.size(); ++g) kept += selected[g] ? static_cast<double>(widths[g]) : 0;
            return kept;
          },
          1 - options.sparsity};
}

// The same of --keep-latency, where channels go in rounds: times by the table of measured widths, down to the target,
// or to what the table says of the widths that met it when they were measured, whichever is less: other widths will be
// left.
CountedTarget measured_target(const PruneOptions& options, const ChannelGroups& groups, const Json& measured) {
  std::vector<MeasuredWidth> table;
  for (const Json& row : measured.at("table"))
    table.push_back({row.at("group").get<size_t>(), row.at("width").get<int64_t>(), row.at("share").get<double>()});
  const auto latency = std::make_shared<ChannelLatency>(groups, table);
  return {[latency](const Widths& widths) { return latency->share(widths); },
          std::min(measured.at("predicted").get<double>(), options.channels.keep_latency * LatencyMeter::margin)};
}

Json latency_json(const MeasuredChoice& found) {
  Json table = Json::array();
  for (const MeasuredWidth& row : found.table)
    table.push_back({{"group", row.group}, {"width", row.width}, {"share", row.share}});
  return {{"predicted", found.predicted}, {"chosen", found.choice.cost}, {"table", std::move(table)}};
}

Choice choose(const PruneOptions& options, const ChannelGroups& groups, const GroupScores& scores,
              const std::vector<bool>& selected, const WidthMeter& meter) {
  const ChannelLimits limits = channel_limits(options);
  Choice choice;
  if (options.channels.keep_latency > 0) {
    const MeasuredChoice found = choose_by_latency(groups, scores, selected, limits, meter,
                                                   options.channels.keep_latency * LatencyMeter::margin);
    choice.widths = found.choice.widths;
    choice.reached = found.choice.reached;
    choice.measured = latency_json(found);
  } else {
    const CountedTarget target = counted_target(options, groups, selected);
    // Sums of products round: what is the target exactly counts as met.
    const double most = target.cost(ChannelCost::full(groups)) * target.keep * (1 + 1e-12);
    const ChannelChoice widths = choose_widths(groups, scores, selected, limits, target.cost, most);
    choice.widths = widths.widths;
    choice.reached = widths.reached;
  }
  return choice;
}

// What a run that goes on chose before, else `chosen`, which is kept for that.
Choice kept_or_chosen(const PruneOptions& options, const ChannelGroups& groups, const std::function<Choice()>& chosen) {
  if (const Json kept = kept_choice(options, "widths", groups.groups.size()); kept.is_object())
    return {kept.at("widths").get<Widths>(), {}, kept.at("reached").get<bool>(), kept.at("measured")};
  Choice choice = chosen();
  keep_choice(options, {{"widths", choice.widths}, {"reached", choice.reached}, {"measured", choice.measured}});
  return choice;
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
  const ChannelLimits limits = channel_limits(options);
  const bool heads =
      std::any_of(groups.groups.begin(), groups.groups.end(), [](const ChannelGroup& group) { return group.heads; });
  if (options.structure == "head" && !heads)
    fail_input(
        "prune: no head can be removed: the model has no groups of attention heads; `pare inspect --groups` names what "
        "it has");
  bool any = false;
  for (size_t g = 0; g < selected.size(); ++g) {
    if (options.structure == "head" && !groups.groups[g].heads) selected[g] = false;
    any = any || (selected[g] && legal_widths(groups.groups[g], limits).size() > 1);
  }
  if (!any && groups.groups.empty())
    fail_input("prune: no {} can be removed: the model has no group of more than one, and {} nodes keep theirs{}",
               options.structure, groups.barriers.size(),
               groups.barriers.empty()
                   ? ""
                   : fmt::format(" ({}: {}); `pare inspect --groups` names them",
                                 groups.barriers[0].op.empty()
                                     ? "the model"
                                     : fmt::format("{} '{}'", groups.barriers[0].op, groups.barriers[0].node),
                                 groups.barriers[0].reason));
  if (!any)
    fail_input(
        "prune: no {} can be removed: {} groups are narrower than --round-to and --min-keep allow or not selected, and "
        "{} nodes keep theirs; `pare inspect --groups` names them",
        options.structure, groups.groups.size(), groups.barriers.size());
  return selected;
}

// Zeros are written into the file's own tensors; where one of them came of folding, the graph is.
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
  size_t in_file = 0;
  for (const NamedTensor& tensor : read_tensors(model.onnx)) in_file += changed.contains(tensor.name) ? 1 : 0;
  result.onnx = in_file == changed.size() ? with_tensors(model.onnx, changed) : with_graph(model.onnx, masked);
  return result;
}

}  // namespace

ExitCode prune_channels(const PruneOptions& options, LoadedModel loaded, at::Device device, RunContext& context) {
  const Graph graph = with_folded_sizes(loaded.graph);
  const ChannelSamples samples(options, graph, device, context);
  const Factor factor = options.structure == "head" ? Factor::heads : Factor::channels;
  const ChannelGroups groups = channel_groups(graph, factor, samples.shapes());
  const std::vector<bool> selected = prunable(options, graph, groups);
  std::optional<LatencyMeter> meter;
  if (options.channels.keep_latency > 0)
    meter.emplace(loaded, samples.inputs(groups.sized), options.compute.threads, device);
  const bool in_rounds = options.gradual() && !options.output.dry_run;
  GroupScores scores;
  Choice choice;
  if (!in_rounds || meter) {
    scores = samples.scores(graph, groups);
    choice = kept_or_chosen(options, groups, [&] {
      return choose(options, groups, scores, selected, [&](const Widths& widths) {
        return meter->share(shrink(graph, groups, removed_units(groups, scores, widths)));
      });
    });
  }
  // What rounds go by.
  const CountedTarget target =
      meter ? measured_target(options, groups, choice.measured) : counted_target(options, groups, selected);
  const GradualPruning gradual{graph, groups, selected, target.cost, target.keep};
  if (in_rounds) {
    const ExitCode end = prune_gradually(options, loaded, gradual, samples, device, context);
    if (!meter || end == ExitCode::preempted) return end;
    context.report.plan["latency"] = choice.measured;
    return verify_latency(options, *meter, context) ? end : ExitCode::goal_missed;
  }
  choice.removed = removed_units(groups, scores, choice.widths);
  const Graph shrunk = shrink(graph, groups, choice.removed);
  context.report.plan = {{"widths", widths_json(graph, groups, choice.widths)},
                         {"macs_before", graph_cost(groups.sized).macs},
                         {"macs_after", graph_cost(with_sizes(shrunk, samples.shapes())).macs},
                         {"parameters_before", graph_cost(graph).parameters},
                         {"parameters_after", graph_cost(shrunk).parameters},
                         {"reached", choice.reached},
                         {"barriers", barriers_json(groups.barriers)}};
  if (!choice.measured.empty()) context.report.plan["latency"] = choice.measured;
  if (options.output.dry_run) {
    if (options.gradual()) context.report.plan["rounds"] = planned_rounds(options, loaded, gradual, device, context);
    context.print(widths_text(graph, groups, choice.widths));
    return ExitCode::ok;
  }
  const Graph masked = mask_channels(graph, groups, choice.removed);
  const ShrinkProof proof =
      samples.checked([&] { return proved_shrink(masked, shrunk, samples.inputs(groups.sized)); });
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
