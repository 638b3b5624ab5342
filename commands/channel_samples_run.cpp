#include "commands/channel_samples_run.hpp"

#include <algorithm>
#include <chrono>

#include "compress/gradient_scores.hpp"
#include "compress/shrink_proof.hpp"
#include "src/train/loss.hpp"

namespace pare {
namespace {

constexpr int64_t proof_samples = 4;
constexpr int64_t evaluation_batch = 500;
// For scores from gradients.
constexpr int64_t score_samples = 1024;

GroupScore group_score_of(const std::string& name) {
  return name == "mean" ? GroupScore::mean : name == "max" ? GroupScore::max : GroupScore::sum;
}

}  // namespace

ChannelSamples::ChannelSamples(const PruneOptions& options, const Graph& graph, at::Device device)
    : options_(options), graph_(graph), device_(device) {
  const DataOptions& data = options.data;
  if (data.data.empty()) return;
  const int64_t seed = options.compute.seed;
  samples_ = open_samples(data, data.data, data.split, seed);
  measured_ =
      data.val.empty() ? find_samples(data, data.data, "test", seed) : open_samples(data, data.val, "test", seed);
  if (measured_ == nullptr) measured_ = samples_;
  loader_config_.binding = bind_samples(graph, *samples_, data);
  loader_config_.preprocess = preprocess_of(data);
  if (data.holdout > 0) samples_ = split_holdout(samples_, data.holdout, static_cast<uint64_t>(seed)).train;
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

std::map<std::string, Shape> ChannelSamples::shapes() const {
  std::map<std::string, Shape> shapes;
  if (samples_ == nullptr) return shapes;
  const auto inputs = first_inputs();
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Port& port = graph_.inputs[i];
    Shape shape = inputs[i].sizes().vec();
    if (!shape.empty() && (!port.ranked || port.dims.empty() || port.dims[0].size < 0)) shape[0] = 1;
    shapes[graph_.value(port.value).name] = shape;
  }
  return shapes;
}

std::vector<at::Tensor> ChannelSamples::inputs(const Graph& sized) const {
  if (samples_ != nullptr) return first_inputs();
  return random_inputs(sized, static_cast<uint64_t>(options_.compute.seed));
}

GroupScores ChannelSamples::scores(const Graph& graph, const ChannelGroups& groups) const {
  const auto seed = static_cast<uint64_t>(options_.compute.seed);
  const GroupScore how = group_score_of(options_.channels.group_score);
  if (options_.importance == "random") return random_scores(groups, seed);
  if (options_.importance == "magnitude") return group_scores(graph, groups, magnitude_scores(graph), how);
  const Executor executor(graph);
  const Parameters parameters(graph, device_, Training::on);
  GradientScores gradients(parameters, options_.importance);
  const DatasetPtr samples = limit(samples_, std::min(score_samples, samples_->size()), seed);
  LoaderConfig config = loader_config_;
  config.batch = std::min(options_.training.batch, samples->size());
  Loader loader(*samples, config);
  loader.start(0);
  while (const Batch* batch = loader.next()) {
    for (const at::Tensor& leaf : parameters.leaves()) leaf.mutable_grad() = at::Tensor();
    const auto outputs = executor.run(parameters, inputs_of(*batch, device_), false);
    const at::Tensor labels = labels_of(*batch, device_);
    const at::Tensor loss =
        labels.defined() ? cross_entropy(outputs.front(), labels, 0) : sign_projection(outputs, seed);
    loss.backward();
    gradients.add();
  }
  return group_scores(
      graph, groups, [&](ValueId id) { return gradients.elements(id); }, how);
}

double ChannelSamples::latency(const Graph& graph, const Graph& sized) const {
  constexpr size_t warmups = 3, runs = 15;
  const c10::AutoGradMode no_grad(false);
  const Graph inference = inference_graph(graph);
  const Executor executor(inference);
  const Parameters parameters(inference, device_, Training::off);
  std::vector<at::Tensor> given = inputs(sized);
  for (at::Tensor& input : given) input = input.to(device_);
  std::vector<double> seconds;
  for (size_t i = 0; i < warmups + runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const auto outputs = executor.run(parameters, given, false);
    // Work on a device is done when its result is here.
    outputs.front().to(at::kCPU);
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    if (i >= warmups) seconds.push_back(spent.count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + runs / 2, seconds.end());
  return seconds[runs / 2];
}

std::optional<Metrics> ChannelSamples::measure(const Graph& graph) const {
  if (measured_ == nullptr || !measured_->labelled()) return std::nullopt;
  return evaluate_samples(graph, *measured_, options_.data, evaluation_batch, device_).metrics;
}

}  // namespace pare
