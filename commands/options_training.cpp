#include "commands/options_training.hpp"

#include <algorithm>
#include <filesystem>

#include <CLI/App.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "commands/option_kinds.hpp"
#include "src/core/error.hpp"
#include "src/core/suggest.hpp"
#include "src/data/augment.hpp"

namespace pare {

namespace {

std::string check_augment(const std::string& text) {
  parse_augmentations(text);
  return "";
}

}  // namespace

void add_training_options(CLI::App& app, TrainingOptions& options) {
  app.option_defaults()->group("Training");
  add_choice(app, "--task", {"auto", "classify", "regress", "none"}, options.task, "none: from the teacher alone");
  add_text(app, "--loss", "LIST", options.loss, "'ce:0.3,kl@y:0.7' of ce mse l1 bce kl dkd relative");
  add_texts(app, "--output", "NAME", options.outputs, "output that the losses are about; repeatable");
  add_integer(app, "--epochs", at_least_zero, options.epochs, "passes over the training samples");
  add_integer(app, "--steps", at_least_zero, options.steps, "if above 0, train this many steps instead");
  add_integer(app, "--batch", {1, 1 << 24}, options.batch, "samples a batch");
  add_integer(app, "--accumulate", {1, 1 << 20}, options.accumulate, "batches whose mean gradient makes a step");
  add_real(app, "--lr", above_zero, options.lr, "highest learning rate");
  add_choice(app, "--optimizer", {"sgd", "adamw"}, options.optimizer, "sgd has Nesterov momentum");
  add_real(app, "--momentum", {0, 1, false, true}, options.momentum, "of sgd; 0: none");
  add_flag(app, "--no-nesterov", options.no_nesterov, "sgd with classical momentum");
  add_choice(app, "--lr-schedule", {"cosine", "step", "constant"}, options.lr_schedule,
             "cosine to zero; step: /10 twice");
  add_integer(app, "--warmup", at_least_zero, options.warmup, "steps over which the learning rate rises from 0");
  add_real(app, "--weight-decay", at_least_zero, options.weight_decay, "of weights; decoupled for adamw");
  add_real(app, "--label-smoothing", {0, 1, false, true}, options.label_smoothing, "spread over the other classes");
  add_real(app, "--clip-norm", at_least_zero, options.clip_norm, "limit of the norm of all gradients; 0: none");
  add_real(app, "--ema", {0, 1, false, true}, options.ema, "decay of the weights' average; 0: none");
  add_integer(app, "--early-stop", at_least_zero, options.early_stop, "epochs without a better validation; 0: never");
  add_text(app, "--augment", "LIST", options.augment, augmentation_usages().c_str())->check(check_augment, "");
  add_choice(app, "--batch-norm", {"freeze", "train", "reestimate"}, options.batch_norm, "statistics; anew at the end");
  add_choice(app, "--precision", {"auto", "fp32", "bf16", "fp16"}, options.precision,
             "auto: bf16 where the GPU has it");
}

int64_t evaluation_batch(const TrainingOptions& options) {
  constexpr int64_t most = 500, batches = 4;
  return std::min(most, batches * options.batch);
}

void check_training(const TrainingOptions& options, const DataOptions& data) {
  if (options.early_stop > 0 && data.val.empty() && data.holdout == 0)
    fail_usage("--early-stop: there is nothing to validate on; give --holdout or --val");
}

void add_teacher_options(CLI::App& app, TeacherOptions& options) {
  app.option_defaults()->group("Distillation");
  add_real(app, "--temperature", above_zero, options.temperature, "softens teacher and student logits");
  add_real(app, "--kd-weight", {0, 1}, options.kd_weight, "share of the teacher's loss, not the labels'");
  add_text(app, "--match", "LIST", options.match, "outputs as 'STUDENT:TEACHER,...' where names differ");
  add_text(app, "--features", "none|auto|LIST", options.features, "values 'STUDENT:TEACHER,...' to make alike");
  add_choice(app, "--feature-loss", {"fitnet", "attention", "similarity", "relational"}, options.feature_loss,
             "in what way");
  add_real(app, "--feature-weight", at_least_zero, options.feature_weight, "of the features' loss");
  add_text(app, "--teacher-cache", "DIR|off", options.cache, "keep the teacher's outputs for other runs");
}

void check_teacher(const TeacherOptions& options, const std::vector<std::string>& words) {
  for (const std::string& teacher : options.teachers) {
    const bool word = std::find(words.begin(), words.end(), teacher) != words.end();
    if (word && options.teachers.size() > 1 && teacher == "none")
      fail_usage("--teacher: none cannot be combined with others");
    if (word) continue;
    if (!std::filesystem::exists(teacher))
      fail_usage("--teacher: {}: no such file (expected {} or a model file){}", teacher, fmt::join(words, ", "),
                 did_you_mean(teacher, words));
    check_exists("--teacher", teacher, true);
  }
}

}  // namespace pare
