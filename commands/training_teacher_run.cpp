#include <algorithm>
#include <cmath>
#include <filesystem>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <fmt/ranges.h>

#include "commands/training_run.hpp"
#include "src/core/error.hpp"
#include "src/graph/block_outputs.hpp"
#include "src/train/cached_teacher.hpp"

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

// Normal with variance 1 / channels in: features keep their size.
at::Tensor new_adapter(const Shape& shape, const std::string& name, uint64_t seed) {
  at::Tensor adapter = at::empty(shape, at::kFloat);
  auto* values = adapter.mutable_data_ptr<float>();
  const RandomKey key{seed, random_stream(name)};
  const double deviation = 1 / std::sqrt(static_cast<double>(shape[1]));
  for (int64_t i = 0; i < adapter.numel(); ++i)
    values[i] = static_cast<float>(deviation * random_normal(key, static_cast<uint64_t>(i)));
  return adapter;
}

}  // namespace

void TrainingRun::open_teachers() {
  for (const std::string& choice : request_.options.teacher.teachers) {
    if (choice == "none") continue;
    std::string path = choice == "self"       ? student_.model.path
                       : choice == "original" ? find_original(student_.model)
                                              : choice;
    if (path.empty()) {
      context_.warn(
          "the original that this model was made from is not beside it; the model itself is the teacher (--teacher "
          "FILE "
          "names another)");
      path = student_.model.path;
    }
    TeacherModel teacher;
    teacher.loaded = load_executable(path);
    with_context(path, [&] {
      if (bind_samples(teacher.loaded.graph, *train_, request_.options.data) != loader_config_.binding)
        fail_input("the teacher takes other inputs than the model (expected the same in the same order)");
    });
    teacher.inference = inference_graph(teacher.loaded.graph);
    teachers_.push_back(std::move(teacher));
  }
}

// The teacher's output that belongs to one of the student's: by --match, by name, or in order where both have equally
// many. The only output of a teacher belongs to the first.
size_t TrainingRun::teacher_output(const Graph& teacher, size_t output) const {
  std::string name = student_.graph.value(student_.graph.outputs[output].value).name;
  const std::string list = "," + request_.options.teacher.match + ",";
  if (const size_t start = list.find("," + name + ":"); start != std::string::npos) {
    const size_t begin = start + name.size() + 2;
    name = list.substr(begin, list.find(',', begin) - begin);
  } else if (teacher.outputs.size() == student_.graph.outputs.size() &&
             std::none_of(teacher.outputs.begin(), teacher.outputs.end(),
                          [&](const Port& port) { return teacher.value(port.value).name == name; })) {
    return output;
  } else if (teacher.outputs.size() == 1 && output == 0) {
    return 0;
  }
  std::vector<std::string> names;
  for (size_t i = 0; i < teacher.outputs.size(); ++i) {
    names.push_back(teacher.value(teacher.outputs[i].value).name);
    if (names.back() == name) return i;
  }
  fail_usage("--match: the teacher has no output '{}' (got {}); pair outputs with --match STUDENT:TEACHER", name,
             fmt::join(names, ", "));
}

void TrainingRun::plan_outputs() {
  LossRequest wanted;
  wanted.task = request_.options.training.task;
  wanted.losses = request_.options.training.loss;
  wanted.outputs = request_.options.training.outputs;
  wanted.labelled = train_->labelled();
  for (const Field& target : train_->targets()) wanted.targets.push_back(target.name);
  wanted.teacher = !teachers_.empty();
  wanted.kd_weight = request_.options.teacher.kd_weight;
  loss_plan_ = plan_losses(student_.graph, wanted);
  check_match();
  if (teachers_.empty()) return;
  const auto from_teacher = [&](const LossTerm& term) {
    if (term.kind == LossKind::mse || term.kind == LossKind::l1 || term.kind == LossKind::bce)
      return loss_plan_.targets[term.output] < 0;
    return term.kind != LossKind::ce;
  };
  for (const LossTerm& term : loss_plan_.terms)
    if (from_teacher(term) && std::find(taught_.begin(), taught_.end(), term.output) == taught_.end())
      taught_.push_back(term.output);
  std::sort(taught_.begin(), taught_.end());
}

// Throws (exit 2) naming an output in --match that the model does not have.
void TrainingRun::check_match() const {
  const std::string& list = request_.options.teacher.match;
  for (size_t start = 0; start < list.size(); start = std::min(list.find(',', start), list.size()) + 1) {
    const std::string name = list.substr(start, list.find(':', start) - start);
    const std::vector<Port>& outputs = student_.graph.outputs;
    if (std::none_of(outputs.begin(), outputs.end(),
                     [&](const Port& port) { return student_.graph.value(port.value).name == name; }))
      fail_usage("--match: the model has no output '{}'; give STUDENT:TEACHER,...", name);
  }
}

// Leaves of the pairs that were chosen automatically those whose values have equal sizes for a sample: what shapes
// leave open may differ, as the inside of attention with fewer heads.
void TrainingRun::drop_unequal_pairs() {
  std::vector<std::string> of_student, of_teacher;
  for (const NamedPair& pair : feature_pairs_) {
    of_student.push_back(pair.student);
    of_teacher.push_back(pair.teacher);
  }
  const Graph own = with_outputs(student_.graph, of_student);
  const Graph theirs = with_outputs(teachers_.front().inference, of_teacher);
  LoaderConfig config = loader_config_;
  config.shuffle = config.drop_last = false;
  config.augmentations.clear();
  config.batch = 1;
  Loader loader(*train_, config);
  loader.start(0);
  const std::vector<at::Tensor> inputs = inputs_of(*loader.next(), device_);
  const c10::AutoGradMode no_grad(false);
  const auto run = [&](const Graph& graph) {
    return Executor(graph).run(Parameters(graph, device_, Training::off), inputs, false);
  };
  const std::vector<at::Tensor> given = run(own), wanted = run(theirs);
  std::vector<NamedPair> equal;
  for (size_t i = 0; i < feature_pairs_.size(); ++i) {
    const at::Tensor &a = given[student_.graph.outputs.size() + i],
                     &b = wanted[teachers_.front().inference.outputs.size() + i];
    if (!feature_pairs_[i].adapter.empty() || a.sizes() == b.sizes()) equal.push_back(feature_pairs_[i]);
  }
  feature_pairs_ = std::move(equal);
}

void TrainingRun::plan_features() {
  const TeacherOptions& options = request_.options.teacher;
  if (teachers_.empty()) {
    if (!options.features.empty() && options.features != "none")
      fail_usage("--features: there is no teacher to be like; give --teacher");
    return;
  }
  const FeatureLoss& loss = find_feature_loss(options.feature_loss);
  const Graph& first = teachers_.front().inference;
  if (options.features == "none") feature_pairs_ = {};
  else if (options.features == "auto") feature_pairs_ = pair_blocks(student_.graph, first, Pairing::automatic, loss);
  else if (!options.features.empty()) feature_pairs_ = read_pairs(student_.graph, first, options.features, loss);
  else if (loss_plan_.task == "none" && request_.options.training.loss.empty() && teachers_.size() == 1)
    feature_pairs_ = pair_blocks(student_.graph, first, Pairing::same, loss);
  const bool chosen = options.features.empty() || options.features == "auto";
  if (chosen && loss.same_shape &&
      std::any_of(feature_pairs_.begin(), feature_pairs_.end(), [](const NamedPair& pair) { return pair.open; }))
    drop_unequal_pairs();
  std::vector<std::string> of_student, of_teacher;
  for (const NamedPair& pair : feature_pairs_) {
    of_student.push_back(pair.student);
    of_teacher.push_back(pair.teacher);
    adapters_.emplace_back();
    if (pair.adapter.empty()) continue;
    const std::string name = fmt::format("adapter {}:{}", pair.student, pair.teacher);
    adapters_.back() =
        new_adapter(pair.adapter, name, static_cast<uint64_t>(request_.options.compute.seed)).to(device_);
    parameters_.add_leaf(name, adapters_.back());
  }
  if (!feature_pairs_.empty()) feature_executor_.emplace(with_outputs(student_.graph, of_student));
  std::vector<Runnable> running;
  for (TeacherModel& teacher : teachers_) {
    teacher.graph =
        with_context(teacher.loaded.model.path, [&] { return with_outputs(teacher.inference, of_teacher); });
    std::vector<Port> outputs;
    for (const size_t output : taught_)
      outputs.push_back(teacher.inference.outputs[teacher_output(teacher.inference, output)]);
    for (size_t i = 0; i < of_teacher.size(); ++i)
      outputs.push_back(teacher.graph.outputs[teacher.inference.outputs.size() + i]);
    teacher.graph.outputs = std::move(outputs);
    teacher.executor.emplace(teacher.graph);
    teacher.parameters.emplace(teacher.graph, device_, Training::off);
    running.push_back({&*teacher.executor, &*teacher.parameters});
  }
  if (taught_.empty() && feature_pairs_.empty()) return;
  teacher_ = std::make_unique<LiveTeacher>(std::move(running));
  if (options.cache != "off") keep_outputs(options.cache);
}

void TrainingRun::keep_outputs(const std::string& folder) {
  CachedTeacherConfig config{
      folder, "", {}, {}, loader_config_.binding.batch > 0, [this](const std::string& text) {
                               context_.warn(text); }};
  Json names = Json::array();
  for (const Port& output : teachers_.front().graph.outputs) {
    const size_t index = names.size();
    names.push_back(teachers_.front().graph.value(output.value).name);
    const bool logits = index < taught_.size() && only_softmax_matters(taught_[index]);
    config.outputs.push_back({names.back(), logits});
  }
  for (const BoundInput& input : loader_config_.binding.inputs)
    config.shared_inputs.push_back(input.whole || train_->fields()[input.field].shared);
  Json key = {{"outputs", names}, {"precision", precision_}, {"device", device_.is_cuda() ? "cuda" : "cpu"}};
  for (const CachedOutput& output : config.outputs) key["logits"].push_back(output.logits);
  for (const TeacherModel& teacher : teachers_) key["teachers"].push_back(teacher.loaded.model.sha256);
  const std::string text = key.dump();
  config.key = sha256_hex(std::as_bytes(std::span(text))).substr(0, 32);
  teacher_ = std::make_unique<CachedTeacher>(std::move(teacher_), std::move(config));
}

// Whether all losses on an output are of its softmax at some temperature.
bool TrainingRun::only_softmax_matters(size_t output) const {
  return std::all_of(loss_plan_.terms.begin(), loss_plan_.terms.end(), [&](const LossTerm& term) {
    return term.output != output || term.kind == LossKind::kl || term.kind == LossKind::dkd ||
           term.kind == LossKind::ce;
  });
}

Objective TrainingRun::objective(const TrainingParts& parts) const {
  ObjectiveConfig config;
  config.terms = loss_plan_.terms;
  config.targets = loss_plan_.targets;
  config.taught = taught_;
  for (const at::Tensor& adapter : adapters_)
    config.features.push_back({&find_feature_loss(request_.options.teacher.feature_loss), adapter});
  config.feature_weight = request_.options.teacher.feature_weight;
  config.label_smoothing = request_.options.training.label_smoothing;
  config.temperature = request_.options.teacher.temperature;
  if (loss_plan_.task == "none" && parts.scored) {
    config.sampled_weight = 1 - request_.options.teacher.kd_weight;
    config.scored = parts.scored;
  }
  config.seed = static_cast<uint64_t>(request_.options.compute.seed);
  config.batch_norm_steps = batch_norm_steps();
  return Objective({feature_executor_ ? &*feature_executor_ : &executor_, &parameters_}, teacher_.get(),
                   std::move(config), device_);
}

std::vector<std::pair<std::string, std::string>> TrainingRun::plan_rows() const {
  std::vector<std::pair<std::string, std::string>> rows{{"learns", plan_text(student_.graph, loss_plan_)}};
  for (const TeacherModel& teacher : teachers_) rows.emplace_back("teacher", teacher.loaded.model.path);
  for (const NamedPair& pair : feature_pairs_)
    rows.emplace_back("block", pair.student == pair.teacher ? pair.student : pair.student + " like " + pair.teacher);
  return rows;
}

Json TrainingRun::plan_json() const {
  Json plan = {{"task", loss_plan_.task}, {"loss", plan_text(student_.graph, loss_plan_)}, {"features", Json::array()}};
  for (const NamedPair& pair : feature_pairs_) plan["features"].push_back(pair.student + ":" + pair.teacher);
  return plan;
}

std::vector<at::Tensor> TrainingRun::reference(const Dataset& dataset) const {
  const bool regress = loss_plan_.task == "regress";
  if (regress || teachers_.empty()) {
    if (dataset.targets().empty()) return {};
    LoaderConfig config = loader_config_;
    config.shuffle = config.drop_last = false;
    config.augmentations.clear();
    config.batch = std::min(evaluation_batch(request_.options.training), dataset.size());
    Loader loader(dataset, config);
    loader.start(0);
    std::vector<std::vector<at::Tensor>> parts(dataset.targets().size());
    while (const Batch* batch = loader.next()) {
      const std::vector<at::Tensor> targets = targets_of(*batch, at::kCPU);
      for (size_t i = 0; i < parts.size(); ++i) parts[i].push_back(targets[i].clone());
    }
    std::vector<at::Tensor> whole(student_.graph.outputs.size());
    for (size_t i = 0; i < whole.size(); ++i)
      whole[i] =
          loss_plan_.targets[i] < 0 ? at::empty({0}) : at::cat(parts[static_cast<size_t>(loss_plan_.targets[i])]);
    return whole;
  }
  const std::vector<at::Tensor> all = evaluate_samples(teachers_.front().loaded.graph, dataset, request_.options.data,
                                                       evaluation_batch(request_.options.training), device_)
                                          .outputs;
  std::vector<at::Tensor> outputs(student_.graph.outputs.size(), at::empty({0}));
  for (const size_t output : taught_) outputs[output] = all[teacher_output(teachers_.front().inference, output)];
  return outputs;
}

}  // namespace pare
