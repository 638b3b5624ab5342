#include "commands/prune_once_run.hpp"

#include <algorithm>

#include "commands/gates.hpp"
#include "commands/model_summary.hpp"
#include "commands/prune_samples_run.hpp"
#include "commands/prune_setup_run.hpp"
#include "commands/training_run.hpp"
#include "src/core/error.hpp"

namespace pare {
namespace {

// The samples that measure the result: --val, else the data's test part, else what is there. Null when there are no
// labelled ones.
DatasetPtr measured_samples(const PruneOptions& options, const Graph& graph, RunContext& context) {
  const DataOptions& data = options.data;
  if (data.data.empty()) return nullptr;
  const SampleUse use{data, graph, context, options.compute.seed};
  DatasetPtr samples = open_validation(use);
  if (samples == nullptr) samples = open_samples(use, data.data, data.split);
  if (samples->labelled()) return samples;
  refuse_gates(options.report.gates, {"accuracy", "accuracy_before", "accuracy_drop", "loss"}, samples->name(),
               "has no class labels");
  return nullptr;
}

Metrics measure_graph(const PruneOptions& options, const Graph& graph, const DatasetPtr& samples, at::Device device) {
  return evaluate_samples(graph, *samples, options.data, evaluation_batch(options.training), device).metrics;
}

// Writes every output, opens the first again, and fills the report's result and metrics.
void write_pruned(const PruneOptions& options, const LoadedModel& loaded, const Parameters& parameters,
                  const Pruner& pruner, const DatasetPtr& samples, at::Device device, RunContext& context) {
  Model result = loaded.model;
  result.onnx = with_tensors(loaded.model.onnx, parameters.export_tensors());
  for (const std::string& name : pruner.names())
    if (std::find(result.masked.begin(), result.masked.end(), name) == result.masked.end())
      result.masked.push_back(name);
  Json lineage = prune_lineage(options);
  lineage["from"] = loaded.model.sha256;
  result.lineage.push_back(std::move(lineage));
  std::vector<WrittenFile> files;
  for (const std::string& path : options.output.out)
    files.push_back(save_model(result, path, {options.output.entropy_code}));
  const LoadedModel written = load_executable(files.front().path);
  const GraphCost cost = graph_cost(written.graph);
  context.report.result = result_json(cost, files);
  context.report.layers = layers_json(cost);
  Json& metrics = context.report.metrics;
  if (files.size() == 1)
    metrics["bytes_ratio"] = static_cast<double>(files[0].bytes) / static_cast<double>(loaded.model.file_bytes);
  if (samples == nullptr) return;
  const Metrics before = measure_graph(options, loaded.graph, samples, device);
  const Metrics after = measure_graph(options, written.graph, samples, device);
  metrics["accuracy"] = after.accuracy;
  metrics["accuracy_before"] = before.accuracy;
  metrics["accuracy_drop"] = before.accuracy - after.accuracy;
  metrics["loss"] = after.loss;
}

}  // namespace

ExitCode prune_once(const PruneOptions& options, const LoadedModel& loaded, const std::set<std::string>& weights,
                    at::Device device, RunContext& context) {
  const Parameters parameters(loaded.graph, device, Training::on);
  PruneConfig config = prune_config(options);
  config.average = 1;  // every sample counts the same
  Pruner pruner(
      loaded.graph, parameters, nullptr, config, [&](const std::string& name) { return weights.contains(name); },
      loaded.model.masked);
  check_target(options, pruner);
  const DatasetPtr samples = measured_samples(options, loaded.graph, context);
  if (options.output.dry_run) {
    report_plan(options, loaded.model, pruner, 0, 0, {}, context);
    return ExitCode::ok;
  }
  if (config.method.source != ScoreSource::weights) {
    const ScoreSamples scores(options, loaded.graph, parameters, device, context);
    if (config.method.name == "sparsegpt") {
      scores.reconstruct(pruner);
    } else {
      scores.prepare(config.method, weights, true, pruner);
      pruner.prune(target_sparsity(options));
    }
  } else {
    pruner.prune(target_sparsity(options));
  }
  write_pruned(options, loaded, parameters, pruner, samples, device, context);
  return report_pruned(options, loaded.graph, parameters.export_tensors(), pruner, "cosine to the original", context);
}

}  // namespace pare
