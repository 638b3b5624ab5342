#include "commands/latency_run.hpp"

#include <algorithm>
#include <chrono>

#include "formats/onnx_writer.hpp"
#include "src/exec/tensors.hpp"

namespace pare {
namespace {

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double time_of(const Runner& runner, const Batch& batch) {
  const auto start = std::chrono::steady_clock::now();
  runner.run(batch);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

LatencyMeter::LatencyMeter(const LoadedModel& original, std::vector<at::Tensor> inputs, int64_t threads,
                           at::Device device)
    : original_(original),
      device_(device),
      config_{static_cast<int>(threads), true},
      runtimes_(find_runtimes(device.is_cpu() ? "auto" : "pare")) {
  for (const at::Tensor& input : inputs) inputs_.push_back(input.to(at::kCPU).contiguous());
  for (const at::Tensor& input : inputs_)
    batch_.inputs.push_back(
        {dtype_of(input.scalar_type()), input.sizes().vec(), static_cast<std::byte*>(input.mutable_data_ptr())});
  batch_.size = batch_.rows = inputs_.empty() || inputs_[0].dim() == 0 ? 1 : inputs_[0].size(0);
  before_ = runner(original_);
}

std::unique_ptr<Runner> LatencyMeter::runner(const LoadedModel& model) const {
  return runtimes_.ort ? make_ort_runner(*runtimes_.ort, model, config_) : make_pare_runner(model.graph, device_);
}

double LatencyMeter::share(const Runner& changed) const {
  constexpr int warm_up = 3;
  constexpr size_t least_runs = 15, most_runs = 200;
  constexpr double least_seconds = 0.3;
  for (int i = 0; i < warm_up; ++i) {
    before_->run(batch_);
    changed.run(batch_);
  }
  std::vector<double> before, after;
  double total = 0;
  while (before.size() < least_runs || (total < least_seconds && before.size() < most_runs)) {
    before.push_back(time_of(*before_, batch_));
    after.push_back(time_of(changed, batch_));
    total += before.back() + after.back();
  }
  seconds_.insert(seconds_.end(), before.begin(), before.end());
  return median(after) / median(before);
}

double LatencyMeter::share(const Graph& graph) const {
  if (!runtimes_.ort) return share(*make_pare_runner(graph, device_));
  LoadedModel changed{original_.model, graph};
  changed.model.format.clear();  // it is no file
  changed.model.onnx = with_graph(original_.model.onnx, graph);
  return share(*runner(changed));
}

double LatencyMeter::share(const LoadedModel& written) const { return share(*runner(written)); }

double LatencyMeter::seconds() const { return median(seconds_); }

}  // namespace pare
