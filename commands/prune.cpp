#include "commands/prune.hpp"

#include <CLI/App.hpp>

#include "commands/option_kinds.hpp"
#include "compress/importance.hpp"
#include "compress/pattern.hpp"
#include "compress/sparsity_schedule.hpp"
#include "src/core/error.hpp"

namespace pare {

// Null in executables that do not link prune_run.cpp.
[[gnu::weak]] ExitCode run_prune(const PruneOptions& options, RunContext& context);

namespace {

// What is wrong with a value that `parse` refuses; empty when nothing is.
template <class Parse>
std::string refusal(Parse parse, const std::string& text) {
  try {
    parse(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void check_pattern(const PruneOptions& options) {
  const Pattern pattern = parse_pattern(options.structure);
  if (pattern.kind == Pattern::Kind::n_of_m) {
    if (options.sparsity > 0)
      fail_usage("--sparsity: --structure {} says it already ({:.4g}); leave it out", options.structure,
                 pattern.sparsity());
    if (options.scope == "erk")
      fail_usage("--scope erk: --structure {} has the same sparsity everywhere; leave it out", options.structure);
  } else if (options.sparsity == 0) {
    fail_usage("--sparsity is missing; give the fraction that becomes zero, as --sparsity 0.9");
  }
  if (options.importance == "sparsegpt" && pattern.kind == Pattern::Kind::block)
    fail_usage("--importance sparsegpt: chooses single weights or N:M (got --structure {})", options.structure);
  if (options.importance == "sparsegpt" && options.scope == "global")
    fail_usage("--importance sparsegpt: ranks inside each layer (got --scope global, expected layer or erk)");
  if (options.regrow > 0 && (pattern.kind != Pattern::Kind::weight || options.importance == "sparsegpt"))
    fail_usage("--regrow: works with --structure weight and every importance but sparsegpt (got {}, {})",
               options.structure, options.importance);
  if (options.regrow > 0 && !options.trains())
    fail_usage("--regrow: needs training; leave out --mask-only and give --epochs of 1 or more");
}

void check_whole_channels(const PruneOptions& options) {
  const ImportanceMethod& method = find_importance(options.importance);
  const bool of_gradients = method.name == "taylor" || method.name == "fisher";
  if (method.source != ScoreSource::weights && !of_gradients)
    fail_usage("--importance {}: works with weights (got --structure {}; give magnitude, taylor, fisher or random)",
               options.importance, options.structure);
  if (options.scope == "erk") fail_usage("--scope erk: works with weights (got --structure {})", options.structure);
  if (options.regrow > 0) fail_usage("--regrow: works with weights (got --structure {})", options.structure);
  if (!options.gradual()) return;
  const bool penalty = options.channels.group_penalty > 0;
  const char* what = penalty ? "--group-penalty" : "--schedule";
  if (!options.trains())
    fail_usage("{}: needs training; leave out --mask-only and give --epochs or --steps of 1 or more", what);
  const std::string schedule = options.resolved_schedule();
  if (penalty && schedule != "one-shot" && !schedule.starts_with("iterative"))
    fail_usage("--group-penalty: works with --schedule one-shot and iterative:N (got {})", schedule);
}

void check_blocks(const PruneOptions& options) {
  if (options.resolved_schedule() != "one-shot")
    fail_usage("--schedule {}: works with weights, channels and heads (got --structure residual)", options.schedule);
  if (options.scope != "auto")
    fail_usage("--scope {}: works with weights and channels (got --structure residual)", options.scope);
  if (options.regrow > 0) fail_usage("--regrow: works with weights (got --structure residual)");
  if (options.mask_only) fail_usage("--mask-only: works with weights, channels and heads (got --structure residual)");
}

void check(const PruneOptions& options) {
  check_exists("MODEL", options.model, true);
  check_channels(options.channels, options.structure, options.sparsity);
  if (removes_channels(options.structure)) check_whole_channels(options);
  else if (options.structure == "residual") check_blocks(options);
  else check_pattern(options);
  if (options.channels.group_penalty > 0 && !removes_channels(options.structure))
    fail_usage("--group-penalty: works with --structure channel and head (got {})", options.structure);
  check_data_options(options.data);
  check_training(options.training, options.data);
  const bool scored =
      options.structure != "residual" && find_importance(options.importance).source != ScoreSource::weights;
  const bool needs_data = options.trains() || scored;
  if (needs_data && options.data.data.empty())
    fail_usage("--data is missing; without samples, --mask-only with --importance magnitude or random prunes");
  check_teacher(options.teacher, {"original", "self", "none"});
  check_model_outputs(options.output);
}

std::vector<std::string> models_of(const PruneOptions& options) { return models_with(options.model, options.output); }

void add_pruning_options(CLI::App& app, PruneOptions& options) {
  app.option_defaults()->group("Pruning");
  add_real(app, "--sparsity", {0, 1, true, true}, options.sparsity, "share of the weights, blocks, channels or heads")
      ->default_str("");
  add_text(app, "--structure", "weight|N:M|block:RxC|channel|head|residual", options.structure, "what is cut")
      ->check([](const std::string& text) { return makes_smaller(text) ? "" : refusal(parse_pattern, text); }, "");
  add_choice(app, "--importance", importance_names(), options.importance, "what scores the weights");
  add_real(app, "--average", {0, 1}, options.average, "decay of the scores' average; 1: their sum");
  add_choice(app, "--scope", {"auto", "global", "layer", "erk"}, options.scope,
             "layers ranked together, or each alone");
  add_text(app, "--schedule", "auto|one-shot|iterative:N|cubic|linear|exponential", options.schedule, "its growth")
      ->check([](const std::string& text) { return text == "auto" ? "" : refusal(parse_schedule, text); }, "");
  add_integer(app, "--prune-steps", at_least_zero, options.prune_steps, "steps over which it rises; 0: the first half");
  add_real(app, "--regrow", {0, 1, false, true}, options.regrow, "share of the kept weights exchanged, at first");
  add_choice(app, "--regrow-by", {"gradient", "splice"}, options.regrow_by, "for which pruned ones");
  add_flag(app, "--mask-only", options.mask_only, "zeros instead of smaller, no training");
  add_integer(app, "--score-samples", at_least_one, options.score_samples, "for scores before or without training");
  add_texts(app, "--include", "GLOB", options.include, "prune only tensors or nodes of this name; repeatable");
  add_texts(app, "--exclude", "GLOB", options.exclude, "leave tensors or nodes of this name alone");
}

std::vector<std::string> measurable_of(const PruneOptions& options) {
  auto names = joined({measurable_of_training(options), {"metrics.accuracy_before", "metrics.accuracy_drop"}});
  if (options.channels.keep_latency > 0 && !options.mask_only) names.emplace_back("metrics.speedup");
  if (!makes_smaller(options.structure)) names = joined({names, {"result.dense_bytes", "result.sparse_bytes"}});
  if (options.data.data.empty())
    std::erase_if(names, [](const std::string& name) {
      return name.starts_with("metrics.") && name != "metrics.bytes_ratio" && name != "metrics.speedup";
    });
  return names;
}

}  // namespace

CommandLine add_prune(CLI::App& app) {
  auto options = std::make_shared<PruneOptions>();
  options->data.split = "train";
  add_argument(app, "MODEL", options->model, "an .onnx or .h5 file");
  add_pruning_options(app, *options);
  add_channel_options(app, options->channels);
  add_retraining_options(app, *options);
  app.get_option("--data")->required(false);
  add_run_options(app, *options);
  return line_of(options, check, models_of, measurable_of, run_prune);
}

}  // namespace pare
