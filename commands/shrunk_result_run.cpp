#include "commands/shrunk_result_run.hpp"

#include <filesystem>

#include "commands/model_summary.hpp"
#include "commands/training_run.hpp"
#include "src/core/error.hpp"
#include "src/core/files.hpp"
#include "src/core/table.hpp"
#include "src/graph/cost.hpp"
#include "src/train/kept_zeros.hpp"

namespace pare {
namespace {

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

// Files of a model that is not trained, and what they measure.
void write_untrained(const PruneOptions& options, const LoadedModel& original, Model result,
                     const ChannelSamples& samples, RunContext& context) {
  Json lineage = shrunk_lineage(options);
  lineage["from"] = original.model.sha256;
  result.lineage.push_back(std::move(lineage));
  std::vector<WrittenFile> files;
  for (const std::string& path : options.output.out)
    files.push_back(save_model(result, path, {options.output.entropy_code}));
  const LoadedModel written = load_executable(files.front().path);
  context.report.result = result_json(graph_cost(written.graph), files);
  Json& metrics = context.report.metrics;
  if (files.size() == 1)
    metrics["bytes_ratio"] = static_cast<double>(files[0].bytes) / static_cast<double>(original.model.file_bytes);
  samples.compare(original.graph, written.graph, metrics);
}

}  // namespace

std::string channel_scope(const PruneOptions& options) { return options.scope == "auto" ? "global" : options.scope; }

ChannelLimits channel_limits(const PruneOptions& options) {
  return {options.channels.round_to, options.channels.min_keep, channel_scope(options)};
}

Json shrunk_lineage(const PruneOptions& options) {
  Json settings = {{"structure", options.structure},
                   {"sparsity", options.sparsity},
                   {"keep_macs", options.channels.keep_macs},
                   {"keep_params", options.channels.keep_params},
                   {"keep_latency", options.channels.keep_latency},
                   {"seed", options.compute.seed}};
  if (removes_channels(options.structure)) {
    settings["importance"] = options.importance;
    settings["group_score"] = options.channels.group_score;
    settings["scope"] = channel_scope(options);
    settings["round_to"] = options.channels.round_to;
    settings["min_keep"] = options.channels.min_keep;
  }
  if (options.gradual()) {
    settings["schedule"] = options.resolved_schedule();
    settings["average"] = options.average;
    settings["group_penalty"] = options.channels.group_penalty;
  }
  return {{"command", "prune"}, {"settings", std::move(settings)}};
}

ShrinkProof proved_shrink(const Graph& masked, const Graph& shrunk, std::span<const at::Tensor> inputs) {
  const ShrinkProof proof = prove_shrink(masked, shrunk, inputs);
  if (!proof.holds())
    fail_run(
        "prune: the smaller model is not the masked one: output '{}' differs by {} of {} in float64 (expected at "
        "most {} of it); nothing was written",
        proof.output, proof.difference, proof.magnitude, ShrinkProof::tolerance);
  return proof;
}

void report_shrunk(const ShrunkResult& result, RunContext& context) {
  context.report.model["macs"] = graph_cost(result.before).macs;
  context.report.result["macs"] = graph_cost(result.after).macs;
  context.report.layers = compared_layers(result.before, result.after);
  context.report.result["proof"] = {{"difference", result.proof.difference},
                                    {"magnitude", result.proof.magnitude},
                                    {"tolerance", ShrinkProof::tolerance}};
  context.print(result_text(context, result.proof));
}

ExitCode finish_shrunk(const PruneOptions& options, const LoadedModel& loaded, const ShrunkResult& result,
                       const ChannelSamples& samples, at::Device device, RunContext& context) {
  if (options.trains()) {
    const std::optional<Metrics> before = samples.measure(loaded.graph);
    LoadedModel student{result.model, read_graph(result.model.onnx)};
    TrainingRun run({"prune", options}, std::move(student), device, context);
    KeptZeros zeros(run.parameters(), run.optimizer(), run.student().model.masked);
    TrainingParts parts;
    parts.hooks.after_step = [&](const StepInfo&) { zeros.apply(); };
    const ExitCode end = run.train(parts);
    if (end == ExitCode::preempted) return end;
    run.write({}, shrunk_lineage(options), before ? &*before : nullptr);
    run.finish();
  } else {
    write_untrained(options, loaded, result.model, samples, context);
  }
  report_shrunk(result, context);
  return ExitCode::ok;
}

namespace {

// Choices by cost are the same every time; without training nothing goes on.
bool keeps_choice(const PruneOptions& options) {
  return options.channels.keep_latency > 0 && options.trains() && !options.output.dry_run;
}

}  // namespace

Json kept_choice(const PruneOptions& options, const char* list, size_t entries) {
  const std::string folder = run_dir_of(options.resume, options.output.out);
  const std::string path = folder + "/choice.json";
  const bool goes_on = keeps_choice(options) && !options.resume.no_resume &&
                       std::filesystem::exists(folder + "/checkpoint.h5") && std::filesystem::exists(path);
  if (!goes_on) return nullptr;
  Json choice = Json::parse(read_file(path), nullptr, false);
  if (!choice.is_object() || !choice.contains(list) || choice[list].size() != entries)
    fail_input("{}: is damaged or of another model; start anew with --no-resume", path);
  return choice;
}

void keep_choice(const PruneOptions& options, const Json& choice) {
  if (!keeps_choice(options)) return;
  const std::string folder = run_dir_of(options.resume, options.output.out);
  make_folder(folder);
  AtomicFile file(folder + "/choice.json");
  file.write(choice.dump());
  file.commit();
}

bool verify_latency(const PruneOptions& options, const LatencyMeter& meter, RunContext& context) {
  if (options.mask_only) return true;
  const double share = meter.share(load_executable(options.output.out.front()));
  Json& latency = context.report.plan["latency"];
  latency["runtime"] = meter.runtime();
  latency["before"] = meter.seconds();
  latency["after"] = share * meter.seconds();
  latency["share"] = share;
  context.report.metrics["speedup"] = 1 / share;
  context.print(fmt::format("latency: {:.1f} % of the original's in {} (wanted: at most {:.1f} %)\n", 100 * share,
                            meter.runtime(), 100 * options.channels.keep_latency));
  return share <= options.channels.keep_latency;
}

}  // namespace pare
