#include "commands/training_run.hpp"

#include <algorithm>
#include <filesystem>

#include "src/core/error.hpp"
#include "src/graph/cost.hpp"
#include "src/train/precision.hpp"

namespace pare {
namespace {

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
      precision_(resolve_precision(request.training.precision, device)),
      state_(parameters_,
             {request.training.optimizer, request.training.weight_decay, request.training.momentum,
              !request.training.no_nesterov},
             precision_ == "fp16" ? LossScaling::dynamic : LossScaling::none, request.training.ema) {
  const DataOptions& data = request.data;
  const int64_t seed = request.compute.seed;
  if (data.data.empty()) fail_usage("{}: training needs samples; give --data", request.command);
  train_ = open_samples(data, data.data, data.split, seed);
  loader_config_.binding = bind_samples(student_.graph, *train_, data);
  if (!train_->labelled()) fail_input("{}: has no labels, which {} needs", train_->name(), request.command);
  final_ = data.val.empty() ? find_samples(data, data.data, "test", seed) : open_samples(data, data.val, "test", seed);
  if (data.holdout > 0) {
    const HoldoutSplit split = split_holdout(train_, data.holdout, static_cast<uint64_t>(seed));
    train_ = split.train;
    validation_ = split.held_out;
  }
  if (!data.val.empty()) validation_ = final_;
  if (final_ == nullptr) final_ = validation_ != nullptr ? validation_ : train_;
  if (bind_samples(student_.graph, *final_, data) != loader_config_.binding)
    fail_input("{}: has other arrays than {}", final_->name(), train_->name());
  loader_config_.batch = request.training.batch;
  loader_config_.seed = static_cast<uint64_t>(seed);
  loader_config_.shuffle = true;
  loader_config_.drop_last = train_->size() >= request.training.batch;
  loader_config_.preprocess = preprocess_of(data);
  loader_config_.augmentations = parse_augmentations(request.training.augment);
  const int64_t per_epoch = steps_per_epoch(Loader(*train_, loader_config_), request.training.accumulate);
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
  with_context(path, [&] {
    if (bind_samples(teacher_model_->graph, *train_, request_.data) != loader_config_.binding)
      fail_input("the teacher takes other inputs than the model (expected the same in the same order)");
  });
  const Graph inference = inference_graph(teacher_model_->graph);
  teacher_executor_.emplace(inference);
  teacher_parameters_.emplace(inference, device_, Training::off);
}

Metrics TrainingRun::measure_before() const {
  return evaluate_samples(student_.graph, *final_, request_.data, TrainingRun::evaluation_batch, device_).metrics;
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

}  // namespace pare
