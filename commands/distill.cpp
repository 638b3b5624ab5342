#include "commands/distill.hpp"

#include <CLI/App.hpp>

#include "commands/option_kinds.hpp"
#include "src/core/error.hpp"

namespace pare {

// Null in executables that do not link distill_run.cpp.
[[gnu::weak]] ExitCode run_distill(const DistillOptions& options, RunContext& context);

namespace {

void check(const DistillOptions& options) {
  check_exists("STUDENT", options.student, true);
  check_data_options(options.data);
  check_training(options.training, options.data);
  if (options.training.epochs == 0 && options.training.steps == 0)
    fail_usage("--epochs 0: there is nothing to train; give --epochs or --steps of 1 or more");
  check_teacher(options.teacher, {"original", "self", "none"});
  check_model_outputs(options.output);
}

std::vector<std::string> models_of(const DistillOptions& options) {
  return models_with(options.student, options.output);
}

std::vector<std::string> measurable_of(const DistillOptions& options) {
  auto names = measurable_of_training(options);
  if (options.init == "keep") names = joined({names, {"metrics.accuracy_before", "metrics.accuracy_drop"}});
  return names;
}

}  // namespace

CommandLine add_distill(CLI::App& app) {
  auto options = std::make_shared<DistillOptions>();
  options->data.split = "train";
  options->teacher.teachers.clear();
  add_argument(app, "STUDENT", options->student, "the model to train, an .onnx or .h5 file");
  app.option_defaults()->group("Distillation");
  add_texts(app, "--teacher", "FILE|none", options->teacher.teachers,
            "model to learn from, the mean of several; none: labels alone")
      ->required();
  add_teacher_options(app, options->teacher);
  add_choice(app, "--init", {"kaiming", "keep"}, options->init, "draw new weights, or start from the student's own");
  add_data_options(app, options->data, DataUse::training);
  add_training_options(app, options->training);
  add_run_options(app, *options);
  return line_of(options, check, models_of, measurable_of, run_distill);
}

}  // namespace pare
