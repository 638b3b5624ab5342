#include "commands/channel_samples_run.hpp"

#include <algorithm>

#include "commands/gates.hpp"
#include "compress/gradient_scores.hpp"
#include "compress/shrink_proof.hpp"
#include "src/train/fidelity.hpp"
#include "src/train/loss.hpp"

namespace pare {
namespace {

constexpr int64_t proof_samples = 4;
constexpr uint64_t random_draws = 8;
constexpr size_t most_score_bytes = size_t{1} << 28;

}  // namespace

GroupScore group_score_of(const std::string& name) {
  return name == "mean" ? GroupScore::mean : name == "max" ? GroupScore::max : GroupScore::sum;
}

ChannelSamples::ChannelSamples(const PruneOptions& options, const Graph& graph, at::Device device, RunContext& context)
    : options_(options), graph_(graph), device_(device) {
  const DataOptions& data = options.data;
  given_ = parse_input_shapes(data.shapes);
  check_input_shapes(graph, given_);
  if (data.data.empty()) return;
  const int64_t seed = options.compute.seed;
  const SampleUse use{data, graph, context, seed};
  samples_ = open_samples(use, data.data, data.split);
  measured_ = open_validation(use);
  if (measured_ == nullptr) measured_ = samples_;
  loader_config_.binding = bind_samples(graph, *samples_, data);
  loader_config_.preprocess = preprocess_of(data);
  if (data.holdout > 0) samples_ = split_holdout(samples_, data.holdout, static_cast<uint64_t>(seed)).train;
  if (measured_->labelled())
    refuse_gates(options.report.gates, {"cosine", "snr_db", "agreement"}, measured_->name(),
                 "has labels: accuracy is measured");
  else
    refuse_gates(options.report.gates, {"accuracy", "accuracy_before", "accuracy_drop", "loss"}, measured_->name(),
                 "has no class labels");
}

std::vector<at::Tensor> ChannelSamples::first_inputs() const {
  LoaderConfig config = loader_config_;
  config.batch = std::min(proof_samples, samples_->size());
  Loader loader(*samples_, config);
  loader.start(0);
  std::vector<at::Tensor> inputs;
  for (const at::Tensor& input : inputs_of(*loader.next(), at::kCPU)) inputs.push_back(input.clone());
  return inputs;
}

InputShapes ChannelSamples::shapes() const {
  if (samples_ == nullptr) return given_;
  InputShapes shapes;
  const auto inputs = first_inputs();
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Port& port = graph_.inputs[i];
    Shape shape = inputs[i].sizes().vec();
    if (!shape.empty() && (!port.ranked || port.dims.empty() || port.dims[0].size < 0)) shape[0] = 1;
    shapes[graph_.value(port.value).name] = shape;
  }
  return shapes;
}

void ChannelSamples::blame_assumed_sizes(const Error& error) const {
  if (samples_ != nullptr || error.code() != ExitCode::bad_input) return;
  for (const Port& port : graph_.inputs) {
    const std::string& name = graph_.value(port.value).name;
    // The first is the batch's, whose size of 1 fits.
    const bool open = port.dims.size() > 1 &&
                      std::any_of(port.dims.begin() + 1, port.dims.end(), [](const Dim& dim) { return dim.size < 0; });
    if (open && !given_.contains(name))
      fail_input("{}; the sizes that input '{}' leaves open were taken as {}: --shape or --data gives them",
                 error.what(), name, AssumedSizes().other);
  }
}

std::vector<at::Tensor> ChannelSamples::inputs(const Graph& sized) const {
  if (samples_ != nullptr) return first_inputs();
  return random_inputs(sized, static_cast<uint64_t>(options_.compute.seed));
}

std::vector<std::vector<at::Tensor>> ChannelSamples::score_inputs(const Graph& sized) const {
  std::vector<std::vector<at::Tensor>> batches;
  const auto seed = static_cast<uint64_t>(options_.compute.seed);
  if (samples_ == nullptr) {
    for (uint64_t draw = 0; draw < random_draws; ++draw) {
      std::vector<at::Tensor> inputs = random_inputs(sized, seed + draw);
      // Integers are 0 or 1: (1 - mask) times the lowest float is no number for others.
      for (at::Tensor& input : inputs)
        if (!input.is_floating_point() && input.scalar_type() != at::kBool) input = input.clamp_max(1);
      batches.push_back(std::move(inputs));
    }
    return batches;
  }
  const DatasetPtr samples = limit(samples_, std::min(options_.score_samples, samples_->size()), seed);
  LoaderConfig config = loader_config_;
  config.batch = std::min(options_.training.batch, samples->size());
  Loader loader(*samples, config);
  loader.start(0);
  size_t bytes = 0;
  while (const Batch* batch = loader.next()) {
    std::vector<at::Tensor> inputs;
    for (const at::Tensor& input : inputs_of(*batch, at::kCPU)) {
      inputs.push_back(input.clone());
      bytes += input.nbytes();
    }
    batches.push_back(std::move(inputs));
    if (bytes > most_score_bytes) break;
  }
  return batches;
}

GroupScores ChannelSamples::scores(const Graph& graph, const ChannelGroups& groups) const {
  const auto seed = static_cast<uint64_t>(options_.compute.seed);
  const GroupScore how = group_score_of(options_.channels.group_score);
  if (options_.importance == "random") return random_scores(groups, seed);
  if (options_.importance == "magnitude") return group_scores(graph, groups, magnitude_scores(graph), how);
  with_context(options_.model, [&] { require_float32(graph); });
  const Executor executor(graph);
  const Parameters parameters(graph, device_, Training::on);
  GradientScores gradients(parameters, options_.importance);
  const DatasetPtr samples = limit(samples_, std::min(options_.score_samples, samples_->size()), seed);
  LoaderConfig config = loader_config_;
  config.batch = std::min(options_.training.batch, samples->size());
  Loader loader(*samples, config);
  loader.start(0);
  while (const Batch* batch = loader.next()) {
    for (const at::Tensor& leaf : parameters.leaves()) leaf.mutable_grad() = at::Tensor();
    const auto outputs = rows_of(executor.run(parameters, inputs_of(*batch, device_), false), *batch);
    const at::Tensor labels = labels_of(*batch, device_);
    const at::Tensor loss =
        labels.defined() ? cross_entropy(outputs.front(), labels, 0) : sign_projection(outputs, seed);
    loss.backward();
    gradients.add();
  }
  return group_scores(
      graph, groups, [&](ValueId id) { return gradients.elements(id); }, how);
}

std::optional<Metrics> ChannelSamples::measure(const Graph& graph) const {
  if (measured_ == nullptr || !measured_->labelled()) return std::nullopt;
  return evaluate_samples(graph, *measured_, options_.data, evaluation_batch(options_.training), device_).metrics;
}

void ChannelSamples::compare(const Graph& original, const Graph& written, Json& metrics) const {
  if (measured_ == nullptr) return;
  const auto evaluate = [&](const Graph& graph) {
    return evaluate_samples(graph, *measured_, options_.data, evaluation_batch(options_.training), device_);
  };
  const Evaluation before = evaluate(original);
  const Evaluation after = evaluate(written);
  if (measured_->labelled()) {
    metrics["accuracy"] = after.metrics.accuracy;
    metrics["accuracy_before"] = before.metrics.accuracy;
    metrics["accuracy_drop"] = before.metrics.accuracy - after.metrics.accuracy;
    metrics["loss"] = after.metrics.loss;
  } else if (const auto fidelity = compare_outputs(after.outputs, before.outputs)) {
    metrics["cosine"] = fidelity->cosine;
    metrics["snr_db"] = fidelity->snr_db;
    if (fidelity->agreement) metrics["agreement"] = *fidelity->agreement;
  }
}

}  // namespace pare
