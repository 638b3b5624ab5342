#include "commands/prune_setup_run.hpp"

#include <algorithm>
#include <cmath>

#include "commands/model_summary.hpp"
#include "compress/selection.hpp"
#include "compress/weight_layout.hpp"
#include "formats/hdf5_tensors.hpp"
#include "src/core/error.hpp"
#include "src/core/table.hpp"
#include "src/graph/roles.hpp"

namespace pare {
namespace {

// Steps between two changes of the masks, for schedules that change them gradually.
constexpr int64_t mask_interval = 25;

std::string scope_of(const PruneOptions& options) {
  if (options.scope != "auto") return options.scope;
  return find_importance(options.importance).source == ScoreSource::activations ? "layer" : "global";
}

std::string and_more(const std::vector<std::string>& names) {
  return names.size() > 1 ? fmt::format(" and {} more", names.size() - 1) : "";
}

void warn_of_remainders(const Pattern& pattern, const std::set<std::string>& weights, const Graph& graph,
                        RunContext& context) {
  if (pattern.kind != Pattern::Kind::n_of_m) return;
  const auto length_of = [&](const std::string& name) { return weight_layout(graph, graph.find(name)).view.length; };
  std::vector<std::string> uneven;
  for (const std::string& name : weights)
    if (length_of(name) % pattern.m != 0) uneven.push_back(name);
  if (uneven.empty()) return;
  const int64_t length = length_of(uneven.front());
  context.warn(fmt::format(
      "weight '{}'{}: its sums of {} do not divide by {}; the last group of each has {} and keeps at most {}",
      uneven.front(), and_more(uneven), length, pattern.m, length % pattern.m, pattern.n));
}

std::string kept_text(const std::vector<std::string>& names, std::string_view reason) {
  return fmt::format("weight '{}'{}: {}; {} as before", names.front(), and_more(names), reason,
                     names.size() > 1 ? "they stay" : "it stays");
}

// Takes out the weights that the method cannot prune, because other nodes rearrange their rows or what they multiply is
// inside of a node. Returns what to tell of them.
std::vector<std::string> leave_hidden(const PruneOptions& options, const Graph& graph, std::set<std::string>& weights) {
  const bool by_inputs = find_importance(options.importance).source == ScoreSource::activations;
  const bool by_rows = parse_pattern(options.structure).kind != Pattern::Kind::weight;
  const std::string method =
      by_inputs ? fmt::format("--importance {}", options.importance) : fmt::format("--structure {}", options.structure);
  std::vector<std::string> rearranged, no_product, inside, computed;
  for (const IndirectWeight& weight : indirect_weights(graph)) {
    const std::string& name = graph.value(weight.constant).name;
    if (weight.moved && (by_inputs || by_rows) && weights.erase(name) > 0) rearranged.push_back(name);
    // Nobody who names weights to prune has asked about others.
    if (!weight.moved && options.include.empty()) computed.push_back(name);
  }
  const bool products = options.importance == "sparsegpt";  // it takes only these
  if (by_inputs)
    std::erase_if(weights, [&](const std::string& name) {
      const ValueId id = graph.find(name);
      const std::vector<WeightUse> uses = weight_uses(graph, id);
      const bool other = std::any_of(uses.begin(), uses.end(), [](const WeightUse& use) {
        return use.node->op != "Conv" && use.node->op != "Gemm" && use.node->op != "MatMul";
      });
      if (products && other) no_product.push_back(name);
      else if (!has_visible_inputs(graph, id)) inside.push_back(name);
      else return false;
      return true;
    });
  const std::pair<const std::vector<std::string>&, std::string> reasons[] = {
      {computed, "reaches its layer only as what other nodes compute of it"},
      {rearranged,
       fmt::format("reaches its layer only through nodes that rearrange it, so that {} finds no rows", method)},
      {no_product, fmt::format("its layer is no plain product, and {} solves these alone", method)},
      {inside, fmt::format("what it multiplies is inside of a node, where {} does not look", method)}};
  std::vector<std::string> told;
  for (const auto& [names, reason] : reasons)
    if (!names.empty()) told.push_back(kept_text(names, reason));
  return told;
}

// Bytes of all tensors as they are, and in the layouts that an HDF5 file would choose.
std::pair<int64_t, int64_t> stored_bytes(const Graph& graph, const std::map<std::string, Tensor>& tensors) {
  int64_t dense = 0;
  int64_t sparse = 0;
  for (const Value& value : graph.values) {
    if (!value.constant || dtype_bits(value.constant->dtype) == 0) continue;
    const auto changed = tensors.find(value.name);
    const Tensor& tensor = changed == tensors.end() ? *value.constant : changed->second;
    dense += tensor.byte_size();
    sparse += static_cast<int64_t>(encode_tensor(tensor).bytes.size());
  }
  return {dense, sparse};
}

std::string result_text(const char* compared_with, const RunContext& context) {
  const Json& before = context.report.model;
  const Json& after = context.report.result;
  const Json& metrics = context.report.metrics;
  Table table({"", "before", "after"});
  table.add({"parameters", count_text(before.at("parameters")), count_text(after.at("parameters"))});
  table.add({"nonzero", count_text(before.at("nonzero")), count_text(after.at("nonzero"))});
  table.add({"tensors", bytes_text(after.at("dense_bytes")), bytes_text(after.at("sparse_bytes")) + " sparse"});
  for (const Json& file : after.at("files"))
    table.add({file.at("path").get<std::string>(), bytes_text(before.at("bytes")), bytes_text(file.at("bytes"))});
  if (metrics.contains("accuracy"))
    table.add({"accuracy", percent_text(metrics.at("accuracy_before")), percent_text(metrics.at("accuracy"))});
  else if (metrics.contains("cosine"))
    table.add({compared_with, "", fmt::format("{:.5f}", metrics.at("cosine").get<double>())});
  return table.text() + after.at("note").get<std::string>() + "\n";
}

}  // namespace

PruneConfig prune_config(const PruneOptions& options) {
  PruneConfig config;
  config.method = find_importance(options.importance);
  config.average = options.average;
  config.pattern = parse_pattern(options.structure);
  config.scope = scope_of(options);
  config.regrow = options.regrow;
  config.regrow_by = options.regrow_by == "splice" ? Regrow::splice : Regrow::gradient;
  config.seed = static_cast<uint64_t>(options.compute.seed);
  return config;
}

double target_sparsity(const PruneOptions& options) {
  const Pattern pattern = parse_pattern(options.structure);
  return pattern.kind == Pattern::Kind::n_of_m ? pattern.sparsity() : options.sparsity;
}

std::set<std::string> prunable_weights(const PruneOptions& options, const Graph& graph, RunContext& context) {
  std::set<std::string> weights = select_weights(graph, options.include, options.exclude, true);
  if (weights.empty() && options.include.empty() && options.exclude.empty())
    fail_input(
        "{}: has no float weight of a convolution, matrix product or recurrent layer; a quantized model is pruned "
        "before it is quantized",
        options.model);
  for (const Port& output : graph.outputs) {
    const std::string& name = graph.value(output.value).name;
    if (weights.erase(name) > 0)
      context.warn(fmt::format("weight '{}': is an output of the model too, so it stays as it is", name));
  }
  const bool any = !weights.empty();
  const std::vector<std::string> hidden = leave_hidden(options, graph, weights);
  if (any && weights.empty())
    fail_input("{}: {}; --structure weight with --importance magnitude or taylor prunes all", options.model,
               hidden.back());
  for (const std::string& text : hidden) context.warn(text);
  warn_of_remainders(parse_pattern(options.structure), weights, graph, context);
  return weights;
}

SparsitySchedule prune_schedule(const PruneOptions& options, int64_t steps, double initial) {
  return rising_schedule(options, steps, initial, std::max(target_sparsity(options), initial));
}

SparsitySchedule rising_schedule(const PruneOptions& options, int64_t steps, double initial, double target) {
  SparsitySchedule schedule = parse_schedule(options.resolved_schedule());
  schedule.target = target;
  schedule.initial = initial;
  schedule.interval = mask_interval;
  const int64_t rising = options.prune_steps > 0 ? options.prune_steps : std::max<int64_t>(1, steps / 2);
  // Averages of gradients need some steps before they mean something.
  schedule.first_step = std::min<int64_t>({mask_interval, steps / 10, rising});
  schedule.last_step = std::min(rising, steps) - 1;
  if (schedule.last_step < schedule.first_step) schedule.first_step = schedule.last_step;
  return schedule;
}

void check_target(const PruneOptions& options, const Pruner& pruner) {
  if (parse_pattern(options.structure).kind == Pattern::Kind::n_of_m) return;
  if (options.sparsity < pruner.pruned_share())
    fail_usage("--sparsity {}: the selected weights are {:.4f} sparse already; give more", options.sparsity,
               pruner.pruned_share());
}

void report_plan(const PruneOptions& options, const Model& model, const Pruner& pruner, int64_t steps,
                 int64_t peak_bytes, const std::vector<std::pair<std::string, std::string>>& learned,
                 RunContext& context) {
  const PruneConfig config = prune_config(options);
  const int64_t weights = pruner.selected_elements();
  const double sparsity = target_sparsity(options);
  const auto zeros = static_cast<int64_t>(std::ceil(static_cast<double>(weights) * sparsity - 1e-9));
  const auto before = static_cast<int64_t>(model.file_bytes);
  // Of the HDF5 file, without its container: a bit a weight and the values that are kept.
  const int64_t after = before - 4 * zeros + weights / 8;
  context.report.plan = {{"weights", weights},     {"zeros", zeros},       {"sparsity", sparsity},    {"steps", steps},
                         {"bytes_before", before}, {"bytes_after", after}, {"peak_bytes", peak_bytes}};
  Table table({"plan", ""});
  table.add({"weights to prune", count_text(weights)});
  table.add({"zero afterwards", count_text(zeros)});
  table.add({"structure", options.structure});
  const bool averages = config.method.source == ScoreSource::gradients && steps > 0;
  table.add({"importance", options.importance + (averages ? fmt::format(", average {}", options.average) : "")});
  table.add(
      {"schedule", fmt::format("{}, {} scope", steps > 0 ? options.resolved_schedule() : "at once", config.scope)});
  if (options.regrow > 0) table.add({"regrowth", fmt::format("{} by {}", options.regrow, options.regrow_by)});
  for (const auto& [what, value] : learned) table.add({what, value});
  table.add({"training steps", count_text(steps)});
  table.add({"size before", bytes_text(before)});
  table.add({"size after, .onnx", bytes_text(before)});
  table.add({"size after, .h5", "about " + bytes_text(after)});
  if (peak_bytes > 0) table.add({"memory for training", "about " + bytes_text(peak_bytes)});
  context.print(table.text());
}

Json prune_lineage(const PruneOptions& options) {
  Json settings = {
      {"sparsity", target_sparsity(options)}, {"structure", options.structure},
      {"importance", options.importance},     {"average", options.average},
      {"scope", scope_of(options)},           {"schedule", options.trains() ? options.resolved_schedule() : "one-shot"},
      {"seed", options.compute.seed}};
  if (options.regrow > 0) {
    settings["regrow"] = options.regrow;
    settings["regrow_by"] = options.regrow_by;
  }
  return {{"command", "prune"}, {"settings", std::move(settings)}};
}

ExitCode report_pruned(const PruneOptions& options, const Graph& graph, const std::map<std::string, Tensor>& tensors,
                       const Pruner& pruner, const char* compared_with, RunContext& context) {
  if (const std::vector<std::string> empty = pruner.emptied(); !empty.empty())
    context.warn(
        fmt::format("weight '{}'{}: is zero altogether, so its layer's output does not depend on its input; --scope "
                    "layer keeps a share of every weight",
                    empty.front(), and_more(empty)));
  Json& result = context.report.result;
  const auto [dense, sparse] = stored_bytes(graph, tensors);
  result["dense_bytes"] = dense;
  result["sparse_bytes"] = sparse;
  const bool neighbours = parse_pattern(options.structure).kind == Pattern::Kind::n_of_m;
  result["note"] = neighbours ? "N:M zeros make the .h5 smaller; they are faster only in runtimes with kernels for them"
                              : "zeros make the .h5 smaller, not dense runtimes faster; --structure channel does";
  context.print(result_text(compared_with, context));
  if (neighbours) return ExitCode::ok;
  return pruner.pruned_share() + 1e-9 < options.sparsity ? ExitCode::goal_missed : ExitCode::ok;
}

}  // namespace pare
