#include "commands/prune_channels_run.hpp"

#include <algorithm>

#include "commands/channel_samples_run.hpp"
#include "commands/channel_summary.hpp"
#include "commands/model_summary.hpp"
#include "commands/training_run.hpp"
#include "compress/shrink_proof.hpp"
#include "formats/onnx_writer.hpp"
#include "src/core/error.hpp"
#include "src/core/table.hpp"

namespace pare {
namespace {

std::string scope_of(const PruneOptions& options) { return options.scope == "auto" ? "global" : options.scope; }

struct Choice {
  Widths widths;
  RemovedUnits removed;
  bool reached = false;
  Json measured = Json::object();  // for the plan
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
                                const ChannelLimits& limits, const ChannelSamples& samples, Json& measured) {
  constexpr int measurements = 7;
  const ChannelCost cost(groups);
  const auto at = [&](double share) {
    return choose_widths(
        groups, scores, selected, limits, [&](const Widths& widths) { return cost.macs(widths); },
        share * cost.macs(ChannelCost::full(groups)));
  };
  const auto latency = [&](const ChannelChoice& choice) {
    return samples.latency(shrink(graph, groups, removed_units(groups, scores, choice.widths)), groups.sized);
  };
  const double before = samples.latency(graph, groups.sized);
  const double target = options.channels.keep_latency * before;
  ChannelChoice best = at(0);
  double of_best = latency(best);
  best.reached = of_best <= target;
  double low = 0, high = 1;
  for (int i = 0; best.reached && i < measurements; ++i) {
    const double middle = (low + high) / 2;
    ChannelChoice choice = at(middle);
    const double here = choice.reached ? latency(choice) : target + 1;
    if (here <= target) best = choice, of_best = here;
    // What is too narrow for any widths says nothing of wider ones.
    if (here <= target || !choice.reached) low = middle;
    else high = middle;
  }
  measured = {{"runtime", "pare"}, {"before", before}, {"after", of_best}};
  return best;
}

Choice choose(const PruneOptions& options, const Graph& graph, const ChannelGroups& groups, const GroupScores& scores,
              const std::vector<bool>& selected, const ChannelSamples& samples) {
  const ChannelLimits limits{options.channels.round_to, options.channels.min_keep, scope_of(options)};
  Choice choice;
  const ChannelChoice widths =
      options.channels.keep_latency > 0
          ? choose_by_latency(options, graph, groups, scores, selected, limits, samples, choice.measured)
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

// Layers of the result with the MACs that the nodes of the same names had before.
Json compared_layers(const Graph& before, const Graph& after) {
  std::map<std::string, int64_t> macs;
  const GraphCost old = graph_cost(before);
  for (const NodeCost& row : old.nodes) macs[row.node->name] = row.macs;
  Json layers = layers_json(graph_cost(after));
  for (Json& layer : layers) {
    if (!layer.contains("macs_before")) continue;
    layer["macs_after"] = layer["macs_before"];
    const auto found = macs.find(layer["name"].get<std::string>());
    if (found != macs.end() && found->second >= 0) layer["macs_before"] = found->second;
    else layer.erase("macs_before");
  }
  return layers;
}

Json lineage_of(const PruneOptions& options) {
  return {{"command", "prune"},
          {"settings",
           {{"structure", options.structure},
            {"sparsity", options.sparsity},
            {"keep_macs", options.channels.keep_macs},
            {"keep_params", options.channels.keep_params},
            {"keep_latency", options.channels.keep_latency},
            {"importance", options.importance},
            {"group_score", options.channels.group_score},
            {"scope", scope_of(options)},
            {"round_to", options.channels.round_to},
            {"min_keep", options.channels.min_keep},
            {"seed", options.compute.seed}}}};
}

std::string result_text(const RunContext& context, const ShrinkProof& proof) {
  const Json& before = context.report.model;
  const Json& after = context.report.result;
  const Json& metrics = context.report.metrics;
  Table table({"", "before", "after"});
  table.add({"parameters", count_text(before.at("parameters")), count_text(after.at("parameters"))});
  table.add({"MACs", count_text(before.at("macs")), count_text(after.at("macs"))});
  for (const Json& file : after.at("files"))
    table.add({file.at("path").get<std::string>(), bytes_text(before.at("bytes")), bytes_text(file.at("bytes"))});
  if (metrics.contains("accuracy") && metrics.contains("accuracy_before"))
    table.add({"accuracy", percent_text(metrics.at("accuracy_before")), percent_text(metrics.at("accuracy"))});
  return table.text() + fmt::format("proof: masked and smaller model differ by {:.1e} of {:.1e} in float64\n",
                                    proof.difference, proof.magnitude);
}

// The groups that may lose channels. Throws (exit 3) when there are none.
std::vector<bool> prunable(const PruneOptions& options, const Graph& graph, const ChannelGroups& groups) {
  std::vector<bool> selected = select_groups(graph, groups, options.include, options.exclude);
  const ChannelLimits limits{options.channels.round_to, options.channels.min_keep, scope_of(options)};
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

// Files of a model that is not trained, and what they measure.
void write_untrained(const PruneOptions& options, const Model& original, Model result, const ChannelSamples& samples,
                     const std::optional<Metrics>& before, RunContext& context) {
  Json lineage = lineage_of(options);
  lineage["from"] = original.sha256;
  result.lineage.push_back(std::move(lineage));
  std::vector<WrittenFile> files;
  for (const std::string& path : options.output.out)
    files.push_back(save_model(result, path, {options.output.entropy_code}));
  const LoadedModel written = load_executable(files.front().path);
  context.report.result = result_json(graph_cost(written.graph), files);
  Json& metrics = context.report.metrics;
  if (files.size() == 1)
    metrics["bytes_ratio"] = static_cast<double>(files[0].bytes) / static_cast<double>(original.file_bytes);
  const std::optional<Metrics> after = samples.measure(written.graph);
  if (!after) return;
  metrics["accuracy"] = after->accuracy;
  metrics["accuracy_before"] = before->accuracy;
  metrics["accuracy_drop"] = before->accuracy - after->accuracy;
  metrics["loss"] = after->loss;
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
  const Choice choice = choose(options, graph, groups, scores, selected, samples);
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
    context.print(widths_text(graph, groups, choice.widths));
    return ExitCode::ok;
  }
  const Graph masked = mask_channels(graph, groups, choice.removed);
  const ShrinkProof proof = prove_shrink(masked, shrunk, samples.inputs(groups.sized));
  if (!proof.holds())
    fail_run(
        "prune: the smaller model is not the masked one: output '{}' differs by {} of {} in float64 (expected at "
        "most {} of it); nothing was written",
        proof.output, proof.difference, proof.magnitude, ShrinkProof::tolerance);
  const std::optional<Metrics> before = samples.measure(loaded.graph);
  Model result = options.mask_only ? masked_model(loaded.model, graph, masked) : loaded.model;
  if (!options.mask_only) result.onnx = with_graph(loaded.model.onnx, shrunk);
  if (options.trains()) {
    LoadedModel student{result, read_graph(result.onnx)};
    TrainingRun run({"prune", options}, std::move(student), device, context);
    const ExitCode end = run.train({});
    if (end == ExitCode::preempted) return end;
    run.write({}, lineage_of(options), before ? &*before : nullptr);
    run.finish();
  } else {
    write_untrained(options, loaded.model, std::move(result), samples, before, context);
  }
  // At the sizes of the samples: those that the file leaves open would count for nothing.
  const Graph sized = options.mask_only ? groups.sized : with_sizes(shrunk, samples.shapes());
  context.report.model["macs"] = graph_cost(groups.sized).macs;
  context.report.result["macs"] = graph_cost(sized).macs;
  context.report.layers = compared_layers(groups.sized, sized);
  context.report.result["proof"] = {
      {"difference", proof.difference}, {"magnitude", proof.magnitude}, {"tolerance", ShrinkProof::tolerance}};
  context.print(result_text(context, proof));
  return choice.reached ? ExitCode::ok : ExitCode::goal_missed;
}

}  // namespace pare
