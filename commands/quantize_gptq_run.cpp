#include <algorithm>
#include <chrono>
#include <memory>
#include <set>

#include "commands/engine_run.hpp"
#include "commands/quantize.hpp"
#include "compress/gptq.hpp"
#include "compress/layer_hessians.hpp"

namespace pare {
namespace {

// Hessians that are in memory at once; what more there is takes another run over the samples.
constexpr int64_t hessian_bytes = int64_t{1} << 30;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Rounds the weights of one graph, with the inputs that their layers have in float.
class GptqRounding {
 public:
  GptqRounding(const QuantizeOptions& options, const Graph& graph, const WeightOnlyConfig& config, at::Device device,
               RunContext& context)
      : graph_(graph),
        search_(config.search),
        device_(device),
        samples_(
            open_samples({options.data, graph, context, options.compute.seed}, options.data.data, options.data.split)),
        executor_(graph),
        parameters_(graph, device, Training::off) {
    for (size_t id = 0; id < graph.values.size(); ++id) {
      const Value& value = graph.values[id];
      const bool matrix = value.constant && value.constant->dtype == DType::float32 && value.constant->shape.size() > 1;
      if (matrix && (!config.selected || config.selected(value.name)) && has_hessian(graph, static_cast<ValueId>(id)))
        weights_.push_back(static_cast<ValueId>(id));
    }
    loader_.batch = std::min(options.batch, samples_->size());
    loader_.preprocess = preprocess_of(options.data);
    loader_.binding = bind_samples(graph, *samples_, options.data);
  }

  RoundedWeight round(const WeightToRound& weight) {
    EncodedWeight nearest = encode_nearest(weight.values, weight.groups, weight.range, search_);
    const ValueId id = graph_.find(weight.name);
    const auto place = std::find(weights_.begin(), weights_.end(), id);
    if (place == weights_.end()) return {std::move(nearest), {}};
    if (!measured_.contains(id)) measure(place);
    const auto start = std::chrono::steady_clock::now();
    const size_t owner = hessians_->owner(id);
    if (!orders_.contains(owner))
      with_context(fmt::format("weight '{}'", weight.name),
                   [&] { orders_.emplace(owner, rounding_orders(hessians_->of(id))); });
    WeightLayout layout = weight_layout(graph_, id);
    // A Gemm's weight that is written transposed.
    if (weight.node.op == "Gemm" && weight.node.integer("transB", 0) != 0)
      layout.view = {1, weight.groups.shape[0], weight.groups.shape[1]};
    RoundedWeight rounded = round_gptq(weight.values, layout, std::move(nearest), orders_.at(owner));
    rounding_seconds_ += seconds_since(start);
    return rounded;
  }

  // Seconds of the runs over the samples, and of what followed.
  double measuring_seconds() const { return measuring_seconds_; }
  double rounding_seconds() const { return rounding_seconds_; }

 private:
  // The weights from `place` on, as many as fit.
  void measure(std::vector<ValueId>::const_iterator place) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<ValueId> wave;
    for (int64_t bytes = 0; place != weights_.end(); ++place) {
      const WeightLayout layout = weight_layout(graph_, *place);
      bytes += 4 * layout.groups * layout.view.length * layout.view.length;
      if (!wave.empty() && bytes > hessian_bytes) break;
      wave.push_back(*place);
    }
    orders_.clear();
    hessians_.reset();
    hessians_.emplace(graph_, wave, device_, [this](const Observation& observation) { run(observation); });
    measured_ = {wave.begin(), wave.end()};
    measuring_seconds_ += seconds_since(start);
  }

  void run(const Observation& observation) const {
    const c10::AutoGradMode no_grad(false);
    Loader loader(*samples_, loader_);
    loader.start(0);
    while (const Batch* batch = loader.next())
      executor_.run(parameters_, inputs_of(*batch, device_), false, &observation);
  }

  const Graph& graph_;
  ScaleSearch search_;
  at::Device device_;
  DatasetPtr samples_;
  Executor executor_;
  Parameters parameters_;
  LoaderConfig loader_;
  std::vector<ValueId> weights_;
  std::set<ValueId> measured_;
  std::optional<LayerHessians> hessians_;
  std::map<size_t, std::vector<RoundingOrder>> orders_;
  double measuring_seconds_ = 0, rounding_seconds_ = 0;
};

}  // namespace

ExitCode run_quantize_gptq(const QuantizeOptions& options, RunContext& context, const MeasureChoices& measure) {
  const at::Device device = set_up_device(options.compute, context);
  std::shared_ptr<GptqRounding> gptq;
  const ExitCode code = quantize_weights(
      options, context, measure, [&](const Graph& graph, const WeightOnlyConfig& config) -> WeightRounding {
        gptq = std::make_shared<GptqRounding>(options, graph, config, device, context);
        return [gptq](const WeightToRound& weight) { return gptq->round(weight); };
      });
  if (!options.output.dry_run) {
    context.report.result["hessian_seconds"] = gptq->measuring_seconds();
    context.report.result["rounding_seconds"] = gptq->rounding_seconds();
  }
  return code;
}

}  // namespace pare
