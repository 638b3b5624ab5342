#include "compress/gptq_rounding.hpp"

#include <algorithm>
#include <chrono>

#include "src/core/error.hpp"

namespace pare {
namespace {

// Hessians that are in memory at once; what more there is takes another run over the samples.
constexpr int64_t hessian_bytes = int64_t{1} << 30;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

GptqRounding::GptqRounding(const Graph& graph, const std::vector<ValueId>& weights, at::Device device,
                           RunSamples run_samples, HessianRows rows)
    : graph_(graph), device_(device), run_samples_(std::move(run_samples)), rows_(rows) {
  std::copy_if(weights.begin(), weights.end(), std::back_inserter(weights_),
               [&](ValueId weight) { return has_hessian(graph, weight); });
}

RoundedWeight GptqRounding::round(ValueId weight, const std::vector<float>& values, EncodedWeight nearest,
                                  bool transposed) {
  const auto place = std::find(weights_.begin(), weights_.end(), weight);
  if (place == weights_.end()) return {std::move(nearest), {}};
  if (!measured_.contains(weight)) measure(place);
  const auto start = std::chrono::steady_clock::now();
  const size_t owner = hessians_->owner(weight);
  if (!orders_.contains(owner))
    with_context(fmt::format("weight '{}'", graph_.value(weight).name),
                 [&] { orders_.emplace(owner, rounding_orders(hessians_->of(weight))); });
  WeightLayout layout = weight_layout(graph_, weight);
  if (transposed) layout.view = {1, nearest.groups.shape[0], nearest.groups.shape[1]};
  RoundedWeight rounded = round_gptq(values, layout, std::move(nearest), orders_.at(owner));
  rounding_seconds_ += seconds_since(start);
  return rounded;
}

// The weights from `place` on, as many as fit.
void GptqRounding::measure(std::vector<ValueId>::const_iterator place) {
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
  hessians_.emplace(graph_, wave, device_, run_samples_, rows_);
  measured_ = {wave.begin(), wave.end()};
  measuring_seconds_ += seconds_since(start);
}

}  // namespace pare
