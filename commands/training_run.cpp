#include "commands/training_run.hpp"

#include <filesystem>

#include "commands/model_summary.hpp"
#include "src/core/error.hpp"
#include "src/core/progress.hpp"
#include "src/core/signals.hpp"
#include "src/core/table.hpp"
#include "src/train/checkpoint.hpp"
#include "src/train/precision.hpp"

namespace pare {
namespace {

constexpr int64_t evaluation_batch = 500;

// The file that the first compression step of the lineage started from, looked for beside the model; the model itself
// when it was only trained so far; empty when the file is not there.
std::string find_original(const Model& model) {
  const auto step = std::find_if(model.lineage.begin(), model.lineage.end(),
                                 [](const Json& entry) { return entry.value("command", "") != "distill"; });
  if (step == model.lineage.end()) return model.path;
  const std::string wanted = step->value("from", "");
  auto folder = std::filesystem::path(model.path).parent_path();
  if (folder.empty()) folder = ".";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!entry.is_regular_file() || (entry.path().extension() != ".onnx" && entry.path().extension() != ".h5"))
      continue;
    if (sha256_hex(map_file(entry.path().string()).span()) == wanted) return entry.path().string();
  }
  return "";
}

}  // namespace

TrainingRun::TrainingRun(const TrainingRequest& request, LoadedModel student, at::Device device, RunContext& context)
    : request_(request),
      student_(std::move(student)),
      device_(device),
      context_(context),
      executor_(student_.graph),
      parameters_(student_.graph, device, Training::on),
      optimizer_(parameters_, {request.training.optimizer, request.training.weight_decay}) {
  const DataOptions& data = request.data;
  const int64_t seed = request.compute.seed;
  if (data.data.empty()) fail_usage("{}: training needs samples; give --data", request.command);
  train_ = open_samples(data, data.data, data.split, seed);
  check_fits(student_.graph, *train_);
  if (!train_->labelled()) fail_input("{}: has no labels, which {} needs", train_->name(), request.command);
  final_ = data.val.empty() ? find_samples(data, data.data, "test", seed) : open_samples(data, data.val, "test", seed);
  if (data.holdout > 0) {
    const HoldoutSplit split = split_holdout(train_, data.holdout, static_cast<uint64_t>(seed));
    train_ = split.train;
    validation_ = split.held_out;
  }
  if (final_ == nullptr) final_ = validation_ != nullptr ? validation_ : train_;
  check_fits(student_.graph, *final_);
  loader_config_.batch = request.training.batch;
  loader_config_.seed = static_cast<uint64_t>(seed);
  loader_config_.shuffle = true;
  loader_config_.drop_last = train_->size() >= request.training.batch;
  loader_config_.preprocess = preprocess_of(data);
  loader_config_.augmentations = parse_augmentations(request.training.augment);
  const int64_t per_epoch = Loader(*train_, loader_config_).batches_per_epoch();
  steps_ = request.training.steps > 0 ? request.training.steps : request.training.epochs * per_epoch;
  open_teacher();
  owns_run_dir_ = request.resume.run_dir.empty();
  run_dir_ = run_dir_of(request.resume, request.output.out);
}

void TrainingRun::open_teacher() {
  const std::string& choice = request_.teacher.teacher;
  if (choice == "none") return;
  std::string path = choice == "self"       ? student_.model.path
                     : choice == "original" ? find_original(student_.model)
                                            : choice;
  if (path.empty()) {
    context_.warn(
        "the original that this model was made from is not beside it; the model itself is the teacher (--teacher FILE "
        "names another)");
    path = student_.model.path;
  }
  teacher_model_ = load_executable(path);
  with_context(path, [&] { check_fits(teacher_model_->graph, *train_); });
  const Graph inference = inference_graph(teacher_model_->graph);
  teacher_executor_.emplace(inference);
  teacher_parameters_.emplace(inference, device_, Training::off);
}

Metrics TrainingRun::measure_before() const {
  return evaluate_samples(student_.graph, *final_, request_.data, evaluation_batch, device_).metrics;
}

int64_t TrainingRun::estimated_bytes() const {
  const GraphCost cost = graph_cost(student_.graph);
  constexpr int64_t float_bytes = 4;
  return float_bytes * (2 * cost.activations * request_.training.batch + 4 * cost.parameters);
}

Json TrainingRun::run_settings() const {
  Json settings = {
      {"command", request_.command}, {"model", student_.model.sha256}, {"steps", steps_}, {"samples", train_->size()}};
  if (teacher_model_) settings["teacher"] = teacher_model_->model.sha256;
  static const std::vector<std::string> elsewhere = {
      "out",       "report",           "force", "gate",   "dry-run", "quiet", "verbose", "log", "run-dir",
      "no-resume", "checkpoint-every", "model", "teacher"};
  for (const auto& [key, value] : context_.report.settings.items())
    if (std::find(elsewhere.begin(), elsewhere.end(), key) == elsewhere.end()) settings[key] = value;
  return settings;
}

std::map<std::string, at::Tensor> TrainingRun::tensors_with(const std::map<std::string, at::Tensor>& state) const {
  std::map<std::string, at::Tensor> tensors = state;
  for (const Parameter& parameter : parameters_.all()) tensors.emplace("parameter/" + parameter.name, parameter.tensor);
  for (const OptimizerState& optimizer : optimizer_.states())
    for (size_t i = 0; i < optimizer.moments.size(); ++i)
      tensors.emplace(fmt::format("moment{}/{}", i, optimizer.name), optimizer.moments[i]);
  return tensors;
}

void TrainingRun::resume(const std::map<std::string, at::Tensor>& state, int64_t& first_step) {
  const std::string path = run_dir_ + "/checkpoint.h5";
  if (request_.resume.no_resume || !std::filesystem::exists(path)) return;
  Checkpoint checkpoint{run_settings(), {}, tensors_with(state)};
  load_checkpoint(checkpoint, path);
  first_step = checkpoint.state.at("steps").get<int64_t>();
  context_.report.history = checkpoint.state.at("history");
  optimizer_.set_steps_done(first_step);
  context_.warn(fmt::format("resuming after step {} of {} from {}", first_step, steps_, path));
}

void TrainingRun::save(const std::map<std::string, at::Tensor>& state, int64_t steps) const {
  std::filesystem::create_directories(run_dir_);
  save_checkpoint({run_settings(), {{"steps", steps}, {"history", context_.report.history}}, tensors_with(state)},
                  run_dir_ + "/checkpoint.h5");
}

ExitCode TrainingRun::train(FitHooks hooks, const std::map<std::string, at::Tensor>& state,
                            const std::function<double()>& sparsity) {
  install_stop_signals();
  int64_t first_step = 0;
  resume(state, first_step);
  Loader loader(*train_, loader_config_);
  Progress progress(request_.command, steps_, progress_style(context_.quiet, stderr));
  FitConfig config;
  config.steps = steps_;
  config.learning_rate = {request_.training.lr, request_.training.lr_schedule, request_.training.warmup, steps_};
  config.loss = {request_.training.label_smoothing, request_.teacher.kd_weight, request_.teacher.temperature};
  config.precision = resolve_precision(request_.training.precision, device_);
  config.train_batch_norm = request_.training.batch_norm == "train";
  config.checkpoint_every = request_.resume.checkpoint_every;
  const auto note = [&](const StepInfo& info) {
    return fmt::format("epoch {} loss {:.4f}{}", info.epoch + 1, info.loss,
                       sparsity ? fmt::format(" sparsity {:.3f}", sparsity()) : "");
  };
  hooks.on_progress = [&](const StepInfo& info) { progress.update(info.step, note(info)); };
  hooks.on_epoch = [&](const StepInfo& info) {
    Json row = {{"step", info.step}, {"epoch", info.epoch + 1}, {"loss", info.loss}, {"lr", info.learning_rate}};
    if (sparsity) row["sparsity"] = sparsity();
    if (validation_ != nullptr)
      row["accuracy"] = evaluate_samples(executor_, parameters_, *validation_, request_.data, evaluation_batch, device_)
                            .metrics.accuracy;
    context_.report.history.push_back(std::move(row));
  };
  hooks.save = [&](int64_t steps) { save(state, steps); };
  const Teacher teacher{teacher_executor_ ? &*teacher_executor_ : nullptr,
                        teacher_parameters_ ? &*teacher_parameters_ : nullptr};
  const FitEnd end = fit(config, {executor_, parameters_, optimizer_}, teacher, loader, train_->sample_shape(), device_,
                         first_step, hooks, stop_requested);
  return end == FitEnd::stopped ? ExitCode::preempted : ExitCode::ok;
}

void TrainingRun::write(const std::vector<std::string>& masked, Json lineage, const Metrics* before) {
  Model result = student_.model;
  result.onnx = with_tensors(student_.model.onnx, parameters_.export_tensors());
  for (const std::string& name : masked)
    if (std::find(result.masked.begin(), result.masked.end(), name) == result.masked.end())
      result.masked.push_back(name);
  lineage["from"] = student_.model.sha256;
  result.lineage.push_back(std::move(lineage));
  std::vector<WrittenFile> files;
  for (const std::string& path : request_.output.out) files.push_back(save_model(result, path));
  // What is reported is what is on disk: each file is read again, and each must give the same outputs.
  at::Tensor logits;
  Metrics metrics;
  for (const WrittenFile& file : files) {
    const LoadedModel written = load_executable(file.path);
    const Evaluation evaluation = evaluate_samples(written.graph, *final_, request_.data, evaluation_batch, device_);
    if (logits.defined() && !evaluation.outputs.front().equal(logits))
      fail_run("{}: gives other outputs than {}", file.path, files.front().path);
    logits = evaluation.outputs.front();
    metrics = evaluation.metrics;
    if (&file != &files.front()) continue;
    const GraphCost cost = graph_cost(written.graph);
    context_.report.result = result_json(cost, files);
    context_.report.layers = layers_json(written.graph, cost);
  }
  Json& report = context_.report.metrics;
  report["accuracy"] = metrics.accuracy;
  if (before != nullptr) {
    report["accuracy_before"] = before->accuracy;
    report["accuracy_drop"] = before->accuracy - metrics.accuracy;
  }
  report["loss"] = metrics.loss;
  if (files.size() == 1)
    report["bytes_ratio"] = static_cast<double>(files[0].bytes) / static_cast<double>(student_.model.file_bytes);
}

void TrainingRun::finish() {
  std::error_code ignored;
  std::filesystem::remove(run_dir_ + "/checkpoint.h5", ignored);
  if (owns_run_dir_) std::filesystem::remove(run_dir_, ignored);
}

}  // namespace pare
