#include "commands/prune.hpp"

#include <CLI/App.hpp>

#include "commands/option_kinds.hpp"

namespace pare {

// Null in executables that do not link prune_run.cpp.
[[gnu::weak]] ExitCode run_prune(const PruneOptions& options, RunContext& context);

namespace {

void check(const PruneOptions& options) {
  check_exists("MODEL", options.model, true);
  check_data_options(options.data);
  check_training(options.training, options.data);
  check_teacher(options.teacher, {"original", "self", "none"});
  check_model_outputs(options.output);
}

std::vector<std::string> models_of(const PruneOptions& options) {
  std::vector<std::string> models = options.output.out;
  models.push_back(options.model);
  return models;
}

void add_pruning_options(CLI::App& app, PruneOptions& options) {
  app.option_defaults()->group("Pruning");
  add_real(app, "--sparsity", {0, 1, true, true}, options.sparsity, "fraction of the weights that becomes zero")
      ->default_str("")
      ->required();
  add_choice(app, "--structure", {"weight"}, options.structure, "what is removed as one");
  add_choice(app, "--importance", {"magnitude", "taylor", "fisher"}, options.importance,
             "|w|, mean |w*g| or mean (w*g)^2 with g the gradient");
  add_real(app, "--average", {0, 1, false, true}, options.average,
           "decay of the moving average of the importance; 0: none");
  add_choice(app, "--scope", {"global", "layer"}, options.scope,
             "rank weights of all layers together, or in each layer");
  add_choice(app, "--schedule", {"one-shot", "cubic"}, options.schedule,
             "mask at once and retrain, or raise the sparsity during training (Zhu & Gupta 2017)");
  add_integer(app, "--prune-steps", at_least_zero, options.prune_steps,
              "steps over which cubic raises the sparsity; 0: the first half of the training");
  add_texts(app, "--include", "GLOB", options.include, "prune only tensors or nodes of this name; repeatable");
  add_texts(app, "--exclude", "GLOB", options.exclude, "leave tensors or nodes of this name alone; repeatable");
}

}  // namespace

CommandLine add_prune(CLI::App& app) {
  auto options = std::make_shared<PruneOptions>();
  options->data.split = "train";
  add_argument(app, "MODEL", options->model, "an .onnx or .h5 file");
  add_pruning_options(app, *options);
  add_data_options(app, options->data, DataUse::training);
  add_training_options(app, options->training);
  app.option_defaults()->group("Distillation");
  add_text(app, "--teacher", "original|self|FILE|none", options->teacher.teacher,
           "original: the file that MODEL was made from; self: MODEL");
  add_teacher_options(app, options->teacher);
  add_model_output_options(app, options->output);
  add_compute_options(app, options->compute);
  add_resume_options(app, options->resume);
  add_report_options(app, options->report);

  CommandLine line;
  line.options = options;
  line.report = &options->report;
  line.compute = &options->compute;
  line.check = [options] { check(*options); };
  line.models = [options] { return models_of(*options); };
  line.measurable = [options] {
    auto names = joined({measurable_of_model(),
                         measurable_of_result(),
                         measurable_sizes(options->output.out),
                         {"metrics.accuracy", "metrics.accuracy_before", "metrics.accuracy_drop", "metrics.loss"}});
    if (options->output.out.size() == 1) names.push_back("metrics.bytes_ratio");
    return names;
  };
  line.run = linked(run_prune, options);
  return line;
}

}  // namespace pare
