#include <chrono>
#include <cmath>
#include <filesystem>

#include "commands/training_run.hpp"
#include "src/core/error.hpp"
#include "src/core/files.hpp"
#include "src/core/progress.hpp"
#include "src/core/signals.hpp"
#include "src/train/batch_statistics.hpp"
#include "src/train/checkpoint.hpp"
#include "src/train/run_log.hpp"

namespace pare {
namespace {

using Clock = std::chrono::steady_clock;

// The model's ONNX with the weights taken out.
ByteRope graph_of(const OnnxModel& model) {
  OnnxEdit edit;
  edit.tensor_data = [](const NamedTensor& named) -> std::optional<Bytes> {
    return is_float(named.tensor.dtype) ? std::optional<Bytes>(Bytes()) : std::nullopt;
  };
  return edit_onnx(model, edit);
}

void add_number(Json& row, const char* key, double value) {
  if (std::isfinite(value)) row[key] = value;
  else row[key] = nullptr;
}

}  // namespace

struct TrainingRun::Loop {
  const TrainingParts& parts;
  Progress progress;
  std::map<std::string, at::Tensor> tensors;  // of checkpoints
  std::optional<BestModel> best;
  std::optional<RunLog> log;
  int64_t first_step = 0;
  std::vector<at::Tensor> reference = {};                      // of the validation samples, where they have no labels
  double accuracy = std::numeric_limits<double>::quiet_NaN();  // of the last validation
  int64_t warned_of = 0;                                       // steps left out
  int64_t shown_step = 0;
  const Loader* loader = nullptr;
  double waited = 0;  // seconds for batches, until the last report
  Clock::time_point shown = Clock::now();
};

FitConfig TrainingRun::fit_config() const {
  const TrainingOptions& training = request_.options.training;
  FitConfig config;
  config.steps = steps_;
  config.accumulate = training.accumulate;
  config.learning_rate = {training.lr, training.lr_schedule, training.warmup, steps_};
  config.clip_norm = training.clip_norm;
  config.precision = precision_;
  config.checkpoint_every = request_.options.resume.checkpoint_every;
  return config;
}

int64_t TrainingRun::batch_norm_steps() const {
  if (request_.options.training.batch_norm == "freeze") return 0;
  return request_.batch_norm_steps > 0 ? request_.batch_norm_steps : steps_;
}

void TrainingRun::resume(Loop& loop) {
  const std::string path = run_dir_ + "/checkpoint.h5";
  if (request_.options.resume.no_resume || !std::filesystem::exists(path)) return;
  Checkpoint checkpoint{run_settings(), {}, loop.tensors};
  load_checkpoint(checkpoint, path);
  loop.first_step = checkpoint.state.at("steps").get<int64_t>();
  context_.report.history = checkpoint.state.at("history");
  if (loop.best) loop.best->set_numbers(checkpoint.state.at("best"));
  context_.warn(fmt::format("resuming after step {} of {} from {}", loop.first_step, steps_, path));
}

void TrainingRun::save(const Loop& loop, int64_t steps) const {
  if (teacher_ != nullptr) teacher_->save();
  Checkpoint checkpoint{run_settings(), {{"steps", steps}, {"history", context_.report.history}}, loop.tensors};
  if (loop.best) checkpoint.state["best"] = loop.best->numbers();
  checkpoint.graph = graph_of(student_.model.onnx);
  save_checkpoint(checkpoint, run_dir_ + "/checkpoint.h5");
}

void TrainingRun::report_progress(Loop& loop, const StepInfo& info) {
  const double seconds = std::chrono::duration<double>(Clock::now() - loop.shown).count();
  const auto samples = static_cast<double>((info.step - loop.shown_step) * request_.options.training.accumulate *
                                           request_.options.training.batch);
  const double rate = samples / std::max(seconds, 1e-9);
  const double waited = loop.loader->waited_seconds();
  const double waiting = (waited - loop.waited) / std::max(seconds, 1e-9);
  loop.waited = waited;
  loop.shown = Clock::now();
  loop.shown_step = info.step;
  std::string note = fmt::format("epoch {} loss {:.4f}", info.epoch + 1, info.loss);
  if (std::isfinite(loop.accuracy)) note += fmt::format(" accuracy {:.4f}", loop.accuracy);
  if (loop.parts.sparsity) note += fmt::format(" sparsity {:.3f}", loop.parts.sparsity());
  loop.progress.update(info.step, fmt::format("{} {:.0f} images/s", note, rate));
  Json row = {{"step", info.step}, {"epoch", info.epoch + 1}};
  add_number(row, "loss", info.loss);
  row["lr"] = info.learning_rate;
  row["images_per_second"] = std::round(rate);
  row["waiting"] = std::round(waiting * 1e4) / 1e4;  // share of the time in which the step waited for data
  const int64_t skipped = state_->guard.skipped();
  if (skipped > 0) row["skipped"] = skipped;
  if (precision_ == "fp16") row["loss_scale"] = state_->guard.scale();
  loop.log->add(row);
  // With fp16 the search for a scale that fits leaves steps out; there is nothing to warn of.
  if (skipped > loop.warned_of && precision_ != "fp16") {
    context_.warn(fmt::format("training: {} of {} steps so far were left out because loss or gradients were not finite",
                              skipped, info.step));
    loop.warned_of = skipped * 2;
  }
}

void TrainingRun::validate(Loop& loop, const StepInfo& info, Json& row) {
  const auto exchange = [&] {
    if (!state_->average) return;
    state_->average->swap();
    if (loop.parts.weights_replaced) loop.parts.weights_replaced();
  };
  exchange();
  const Evaluation evaluation =
      evaluate_samples(executor_, parameters_, loader_config_.binding, *validation_, request_.options.data,
                       evaluation_batch(request_.options.training), device_);
  double score = 0;
  if (validation_->labelled()) {
    row["accuracy"] = loop.accuracy = score = evaluation.metrics.accuracy;
  } else if (const auto fidelity = compare_outputs(evaluation.outputs, loop.reference)) {
    row["cosine"] = fidelity->cosine;
    row["snr_db"] = score = fidelity->snr_db;
  }
  if (!loop.parts.complete || loop.parts.complete()) loop.best->offer(score, info.step);
  exchange();
}

bool TrainingRun::end_epoch(Loop& loop, const StepInfo& info) {
  Json row = {{"step", info.step}, {"epoch", info.epoch + 1}};
  add_number(row, "loss", info.loss);
  row["lr"] = info.learning_rate;
  if (loop.parts.sparsity) row["sparsity"] = loop.parts.sparsity();
  if (validation_ != nullptr) validate(loop, info, row);
  loop.log->add(row);
  context_.report.history.push_back(std::move(row));
  loop.shown = Clock::now();
  return request_.options.training.early_stop == 0 || loop.best->stale() < request_.options.training.early_stop;
}

ExitCode TrainingRun::train(const TrainingParts& parts) {
  install_stop_signals();
  make_folder(run_dir_);
  Loop loop{
      parts, Progress(request_.command, steps_, progress_style(context_.quiet, stderr)), state_->tensors(), {}, {}};
  for (const Parameter& parameter : parameters_.all())
    loop.tensors.emplace("parameter/" + parameter.name, parameter.tensor);
  loop.tensors.insert(parts.state.begin(), parts.state.end());
  if (validation_ != nullptr) {
    std::map<std::string, at::Tensor> model = parts.state;
    for (const Parameter& parameter : parameters_.all()) model.emplace("parameter/" + parameter.name, parameter.tensor);
    loop.best.emplace(std::move(model));
    loop.tensors.merge(loop.best->state());
    if (!validation_->labelled()) loop.reference = reference(*validation_);
  }
  resume(loop);
  loop.log.emplace(run_dir_ + "/log.jsonl", loop.first_step);
  loop.shown_step = loop.first_step;
  loop.warned_of = state_->guard.skipped();
  FitHooks hooks = parts.hooks;
  hooks.on_progress = [&](const StepInfo& info) { report_progress(loop, info); };
  hooks.on_epoch = [&](const StepInfo& info) { return end_epoch(loop, info); };
  hooks.save = [&](int64_t steps) {
    try {
      save(loop, steps);
    } catch (const Error& error) {
      // There may still be room for the result, which is smaller.
      if (steps < steps_) throw;
      context_.warn(fmt::format("the last checkpoint was not written ({})", error.what()));
    }
  };
  Loader loader(*train_, loader_config_);
  loop.loader = &loader;
  const FitEnd end =
      fit(fit_config(), *state_, objective(parts), loader, device_, loop.first_step, hooks, stop_requested);
  if (teacher_ != nullptr) teacher_->save();
  if (end == FitEnd::stopped) return ExitCode::preempted;
  if (loop.best && loop.best->kept()) {
    loop.best->restore();
  } else if (state_->average) {
    state_->average->swap();
    if (parts.weights_replaced) parts.weights_replaced();
  }
  if (request_.options.training.batch_norm == "reestimate") reestimate_statistics();
  return ExitCode::ok;
}

void TrainingRun::reestimate_statistics() {
  // Enough for a mean over some ten thousand samples; the rest of a large data set would change nothing.
  constexpr int64_t batches = 200;
  LoaderConfig config = loader_config_;
  config.augmentations.clear();  // statistics for what the finished model will see
  Loader loader(*train_, config);
  loader.start(0);
  if (reestimate_batch_statistics(student_.graph, executor_, parameters_, loader, batches) == 0)
    context_.warn("--batch-norm reestimate: the model has no BatchNormalization left");
}

}  // namespace pare
