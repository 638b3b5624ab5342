#include "commands/training_run.hpp"

#include <algorithm>

#include "commands/gates.hpp"
#include "src/core/error.hpp"
#include "src/graph/cost.hpp"
#include "src/train/precision.hpp"

namespace pare {
TrainingRun::TrainingRun(const TrainingRequest& request, LoadedModel student, at::Device device, RunContext& context)
    : request_(request),
      student_(std::move(student)),
      device_(device),
      context_(context),
      executor_(student_.graph),
      parameters_(student_.graph, device, Training::on),
      precision_(resolve_precision(request.options.training.precision, device)) {
  const DataOptions& data = request.options.data;
  const int64_t seed = request.options.compute.seed;
  if (data.data.empty()) fail_usage("{}: training needs samples; give --data", request.command);
  const SampleUse use{data, student_.graph, context, seed};
  train_ = open_samples(use, data.data, data.split);
  loader_config_.binding = bind_samples(student_.graph, *train_, data);
  final_ = open_validation(use);
  if (data.holdout > 0) {
    const HoldoutSplit split = split_holdout(train_, data.holdout, static_cast<uint64_t>(seed));
    train_ = split.train;
    validation_ = split.held_out;
  }
  if (!data.val.empty()) validation_ = final_;
  if (final_ == nullptr) final_ = validation_ != nullptr ? validation_ : train_;
  if (bind_samples(student_.graph, *final_, data) != loader_config_.binding)
    fail_input("{}: has other arrays than {}", final_->name(), train_->name());
  check_gates();
  with_context(student_.model.path, [&] {
    require_float32(student_.graph);
    check_outputs(student_.graph, *final_, data, evaluation_batch(request.options.training), device);
  });
  loader_config_.batch = request.options.training.batch;
  loader_config_.seed = static_cast<uint64_t>(seed);
  loader_config_.shuffle = true;
  loader_config_.drop_last = train_->size() >= request.options.training.batch;
  loader_config_.preprocess = preprocess_of(data);
  loader_config_.augmentations = parse_augmentations(request.options.training.augment);
  const int64_t per_epoch = steps_per_epoch(Loader(*train_, loader_config_), request.options.training.accumulate);
  steps_ =
      request.options.training.steps > 0 ? request.options.training.steps : request.options.training.epochs * per_epoch;
  open_teachers();
  plan_outputs();
  plan_features();
  const TrainingOptions& training = request.options.training;
  state_.emplace(parameters_,
                 OptimizerConfig{training.optimizer, training.weight_decay, training.momentum, !training.no_nesterov},
                 precision_ == "fp16" ? LossScaling::dynamic : LossScaling::none, training.ema);
  owns_run_dir_ = request.options.resume.run_dir.empty();
  run_dir_ = run_dir_of(request.options.resume, request.options.output.out);
  // What "auto" and nothing came to.
  Json& settings = context.report.settings;
  settings["teacher"] = request.options.teacher.teachers;
  settings["task"] = loss_plan_.task;
  settings["run-dir"] = run_dir_;
}

void TrainingRun::check_gates() const {
  const std::vector<std::string>& gates = request_.options.report.gates;
  if (final_->labelled()) {
    refuse_gates(gates, {"cosine", "snr_db", "agreement"}, final_->name(), "has labels: accuracy is measured");
  } else {
    refuse_gates(gates, {"accuracy", "accuracy_before", "accuracy_drop", "loss"}, final_->name(),
                 "has no class labels");
  }
}

Evaluation TrainingRun::measure(const Graph& graph) const {
  return evaluate_samples(graph, *final_, request_.options.data, evaluation_batch(request_.options.training), device_);
}

Metrics TrainingRun::measure_before() const { return measure(student_.graph).metrics; }

int64_t TrainingRun::estimated_bytes() const {
  const GraphCost cost = graph_cost(student_.graph);
  constexpr int64_t float_bytes = 4;
  return float_bytes * (2 * cost.activations * request_.options.training.batch + 4 * cost.parameters);
}

Json TrainingRun::run_settings() const {
  Json settings = {
      {"command", request_.command}, {"model", student_.model.sha256}, {"steps", steps_}, {"samples", train_->size()}};
  settings["teachers"] = Json::array();
  for (const TeacherModel& teacher : teachers_) settings["teachers"].push_back(teacher.loaded.model.sha256);
  static const std::vector<std::string> elsewhere = {
      "out",       "report",           "force", "gate",    "dry-run",      "quiet", "verbose", "log", "run-dir",
      "no-resume", "checkpoint-every", "model", "teacher", "teacher-cache"};
  for (const auto& [key, value] : context_.report.settings.items())
    if (std::find(elsewhere.begin(), elsewhere.end(), key) == elsewhere.end()) settings[key] = value;
  return settings;
}

}  // namespace pare
