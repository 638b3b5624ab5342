#include "commands/training_command.hpp"

#include <CLI/App.hpp>

#include "commands/option_kinds.hpp"

namespace pare {

void add_retraining_options(CLI::App& app, TrainingCommand& options) {
  add_data_options(app, options.data, DataUse::training);
  add_training_options(app, options.training);
  app.option_defaults()->group("Distillation");
  add_texts(app, "--teacher", "original|self|FILE|none", options.teacher.teachers,
            "original: MODEL's origin; self: MODEL");
  add_teacher_options(app, options.teacher);
}

std::vector<std::string> measurable_of_training(const TrainingCommand& options) {
  auto names = joined({measurable_of_model(),
                       measurable_of_result(),
                       measurable_sizes(options.output.out),
                       {"metrics.accuracy", "metrics.loss", "metrics.cosine", "metrics.snr_db", "metrics.agreement"}});
  if (options.output.out.size() == 1) names.push_back("metrics.bytes_ratio");
  return names;
}

void add_run_options(CLI::App& app, TrainingCommand& options) {
  add_model_output_options(app, options.output);
  add_compute_options(app, options.compute);
  add_resume_options(app, options.resume);
  add_report_options(app, options.report);
}

}  // namespace pare
