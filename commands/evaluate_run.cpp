#include <algorithm>
#include <chrono>

#include <ATen/ops/argmax.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/zeros.h>

#include "commands/engine_run.hpp"
#include "commands/evaluate.hpp"
#include "commands/model_summary.hpp"
#include "src/core/error.hpp"
#include "src/core/table.hpp"
#include "src/data/npz.hpp"
#include "src/exec/tensors.hpp"

namespace pare {
namespace {

struct Latency {
  double p50 = 0;  // milliseconds
  double p95 = 0;
};

// Zeros of the model's declared input shapes at a batch size. Throws (exit 3) when another dimension is not known.
std::vector<at::Tensor> synthetic_inputs(const Graph& graph, int64_t batch, at::Device device) {
  std::vector<at::Tensor> inputs;
  for (const Port& port : graph.inputs) {
    std::vector<int64_t> sizes;
    for (size_t i = 0; i < port.dims.size(); ++i) {
      const Dim& dim = port.dims[i];
      if (dim.size < 0 && i != 0)
        fail_input("input '{}': dimension {} has no fixed size", graph.value(port.value).name, i);
      sizes.push_back(i == 0 ? (dim.size >= 0 ? dim.size : batch) : dim.size);
    }
    inputs.push_back(at::zeros(sizes, scalar_type_of(graph.value(port.value).dtype)).to(device));
  }
  return inputs;
}

Latency time_model(const Graph& graph, int64_t batch, at::Device device) {
  using Clock = std::chrono::steady_clock;
  constexpr int warm_up = 5;
  constexpr size_t least_runs = 20;
  constexpr double least_seconds = 0.5;
  const c10::AutoGradMode no_grad(false);
  const Graph inference = inference_graph(graph);
  const Executor executor(inference);
  const Parameters parameters(inference, device, Training::off);
  const auto inputs = synthetic_inputs(graph, batch, device);
  for (int i = 0; i < warm_up; ++i) executor.run(parameters, inputs, false);
  std::vector<double> times;
  double total = 0;
  while (times.size() < least_runs || total < least_seconds) {
    const auto start = Clock::now();
    // Reading a number waits for the device.
    executor.run(parameters, inputs, false).at(0).sum().item<double>();
    times.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    total += times.back();
  }
  std::sort(times.begin(), times.end());
  return {1e3 * times[times.size() / 2], 1e3 * times[times.size() * 95 / 100]};
}

double agreement(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes())
    fail_input("--against: outputs differ in shape (got {} and {} columns)", b.size(-1), a.size(-1));
  return static_cast<double>(at::eq(at::argmax(a, -1), at::argmax(b, -1)).sum().item<int64_t>()) /
         static_cast<double>(a.size(0));
}

class Evaluator {
 public:
  Evaluator(const EvaluateOptions& options, RunContext& context)
      : options_(options),
        context_(context),
        device_(set_up_device(options.compute, context)),
        model_(load_executable(options.model)) {
    if (!options.against.empty()) baseline_ = load_executable(options.against);
  }

  void run() {
    Report& report = context_.report;
    report.model = model_json(model_.model, model_.graph);
    const GraphCost cost = graph_cost(model_.graph);
    report.result =
        result_json(cost, {{options_.model, model_.model.format, model_.model.file_bytes, model_.model.sha256}});
    report.device["runtime"] = options_.runtime;
    if (baseline_) {
      report.metrics["bytes_ratio"] =
          static_cast<double>(model_.model.file_bytes) / static_cast<double>(baseline_->model.file_bytes);
      const int64_t macs = graph_cost(baseline_->graph).macs;
      if (macs > 0) report.metrics["macs_ratio"] = static_cast<double>(cost.macs) / static_cast<double>(macs);
    }
    if (!options_.data.data.empty()) measure_samples();
    if (options_.latency) measure_latency();
    print();
  }

 private:
  void measure_samples() {
    const DatasetPtr dataset =
        open_samples(options_.data, options_.data.data, options_.data.split, options_.compute.seed);
    Json& metrics = context_.report.metrics;
    const Evaluation own = with_context(options_.model, [&] {
      return evaluate_samples(model_.graph, *dataset, options_.data, options_.batch, device_);
    });
    if (dataset->labelled()) {
      metrics["accuracy"] = own.metrics.accuracy;
      metrics["top5"] = own.metrics.top5;
      metrics["loss"] = own.metrics.loss;
    }
    if (!options_.save_outputs.empty()) save(own.outputs);
    if (!baseline_) return;
    const Evaluation base = with_context(options_.against, [&] {
      return evaluate_samples(baseline_->graph, *dataset, options_.data, options_.batch, device_);
    });
    if (dataset->labelled()) {
      metrics["accuracy_before"] = base.metrics.accuracy;
      metrics["accuracy_drop"] = base.metrics.accuracy - own.metrics.accuracy;
    }
    metrics["agreement"] = agreement(own.outputs.front(), base.outputs.front());
  }

  void save(const std::vector<at::Tensor>& outputs) const {
    std::vector<NamedTensor> named;
    for (size_t i = 0; i < outputs.size(); ++i) {
      const Value& value = model_.graph.value(model_.graph.outputs[i].value);
      named.push_back({value.name, from_aten(outputs[i], dtype_of(outputs[i].scalar_type()))});
    }
    save_npz(named, options_.save_outputs);
  }

  void measure_latency() {
    Json& metrics = context_.report.metrics;
    for (const int64_t batch : options_.batch_sizes) {
      const Latency own = time_model(model_.graph, batch, device_);
      latencies_.emplace_back(batch, own);
      if (batch != options_.batch_sizes.front()) continue;
      metrics["latency_ms_p50"] = own.p50;
      metrics["latency_ms_p95"] = own.p95;
      if (baseline_) metrics["speedup"] = time_model(baseline_->graph, batch, device_).p50 / own.p50;
    }
  }

  void print() const {
    const Json& result = context_.report.result;
    Table table({options_.model, ""});
    table.add({"parameters", count_text(result.at("parameters"))});
    table.add({"nonzero", count_text(result.at("nonzero"))});
    table.add({"bytes", count_text(static_cast<int64_t>(model_.model.file_bytes))});
    for (const auto& [name, value] : context_.report.metrics.items())
      if (!name.starts_with("latency")) table.add({name, fmt::format("{:.4f}", value.get<double>())});
    for (const auto& [batch, latency] : latencies_)
      table.add({fmt::format("latency, batch {}", batch),
                 fmt::format("{:.3f} ms (95 %: {:.3f} ms)", latency.p50, latency.p95)});
    context_.print(table.text());
  }

  const EvaluateOptions& options_;
  RunContext& context_;
  at::Device device_;
  LoadedModel model_;
  std::optional<LoadedModel> baseline_;
  std::vector<std::pair<int64_t, Latency>> latencies_;
};

}  // namespace

ExitCode run_evaluate(const EvaluateOptions& options, RunContext& context) {
  Evaluator(options, context).run();
  return ExitCode::ok;
}

}  // namespace pare
