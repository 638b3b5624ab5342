#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include "commands/evaluate.hpp"
#include "commands/gates.hpp"
#include "commands/model_summary.hpp"
#include "commands/runner_run.hpp"
#include "commands/sensitivity_run.hpp"
#include "src/core/error.hpp"
#include "src/core/table.hpp"
#include "src/data/npz.hpp"
#include "src/data/values.hpp"
#include "src/exec/tensors.hpp"
#include "src/train/agreement.hpp"

namespace pare {
namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

// Outputs of a model over the data, in the order of Graph::outputs.
using Outputs = std::vector<at::Tensor>;

class Evaluator {
 public:
  Evaluator(const EvaluateOptions& options, RunContext& context)
      : options_(options), context_(context), device_(set_up_device(options.compute, context)) {
    runtimes_ = find_runtimes(options.runtime);
    if (runtimes_.ort && device_.is_cuda())
      context.warn("ONNX Runtime runs the models on the CPU; --runtime pare uses the GPU");
    model_ = load(options.model);
    if (!options.against.empty()) baseline_ = load(options.against);
  }

  void run() {
    Report& report = context_.report;
    report.model = model_json(model_.model, model_.graph);
    const GraphCost cost = graph_cost(model_.graph);
    report.result =
        result_json(cost, {{options_.model, model_.model.format, model_.model.file_bytes, model_.model.sha256}});
    report.device["runtime"] = runtimes_.name();
    if (baseline_) {
      report.metrics["bytes_ratio"] =
          static_cast<double>(model_.model.file_bytes) / static_cast<double>(baseline_->model.file_bytes);
      const int64_t macs = graph_cost(baseline_->graph).macs;
      if (macs > 0) report.metrics["macs_ratio"] = static_cast<double>(cost.macs) / static_cast<double>(macs);
    }
    if (!options_.data.data.empty()) {
      dataset_ = open_samples({options_.data, model_.graph, context_, options_.compute.seed}, options_.data.data,
                              options_.data.split);
      check_gates();
      measure_samples();
    }
    if (options_.latency) measure_latency();
    print();
    if (!options_.sensitivity.empty()) measure_sensitivity();
  }

 private:
  // ONNX Runtime may run what pare cannot.
  LoadedModel load(const std::string& path) const {
    if (runtimes_.pare) return load_executable(path);
    LoadedModel loaded{load_model(path), {}};
    loaded.graph = with_context(path, [&] { return read_graph(loaded.model.onnx); });
    return loaded;
  }

  // The runtime whose figures are reported.
  std::unique_ptr<Runner> runner_of(const LoadedModel& model) const {
    if (!runtimes_.ort) return make_pare_runner(model.graph, device_);
    return make_ort_runner(*runtimes_.ort, model, {at::get_num_threads(), true});
  }

  // What the command line could have measured depends on the data: it is refused before any work.
  void check_gates() const {
    const bool labelled = dataset_->labelled(), targets = !dataset_->targets().empty();
    const auto refuse = [&](std::initializer_list<std::string_view> names, std::string_view reason) {
      refuse_gates(options_.report.gates, names, dataset_->name(), reason);
    };
    if (!labelled) refuse({"accuracy", "top5", "loss", "accuracy_before", "accuracy_drop"}, "has no class labels");
    if (!targets) refuse({"mse"}, "has no values to compare with");
    if (!baseline_ && !targets)
      refuse({"agreement", "cosine", "snr_db"}, "has no outputs to compare with; give --against");
  }

  Outputs outputs_of(const Runner& runner, const LoadedModel& model) const {
    return with_context(model.model.path, [&] {
      const Binding binding = bind_samples(model.graph, *dataset_, options_.data);
      Loader loader(*dataset_, loader_config(binding, *dataset_, options_.data, options_.batch));
      return predict([&](const Batch& batch) { return runner.run(batch); }, loader);
    });
  }

  const std::string& output_name(const LoadedModel& model, size_t output) const {
    return model.graph.value(model.graph.outputs[output].value).name;
  }

  void measure_samples() {
    Json& metrics = context_.report.metrics;
    const auto runner = runner_of(model_);
    const Outputs own = outputs_of(*runner, model_);
    const bool finite = warn_of_nonfinite(own);
    if (dataset_->labelled()) {
      const Metrics measured = measure(own.front(), labels_of(*dataset_));
      metrics["accuracy"] = finite ? measured.accuracy : not_a_number;
      metrics["top5"] = finite ? measured.top5 : not_a_number;
      metrics["loss"] = finite ? measured.loss : not_a_number;
    }
    if (!options_.save_outputs.empty()) save(own);
    compare_with_targets(own);
    if (runtimes_.ort && runtimes_.pare) compare_runtimes(own);
    if (!baseline_) return;
    const Outputs base = outputs_of(*runner_of(*baseline_), *baseline_);
    if (dataset_->labelled()) {
      const double before = measure(base.front(), labels_of(*dataset_)).accuracy;
      metrics["accuracy_before"] = before;
      metrics["accuracy_drop"] = finite ? before - metrics["accuracy"].get<double>() : not_a_number;
    }
    with_context("--against", [&] { compare(own, base); });
  }

  // Whether all outputs are finite.
  bool warn_of_nonfinite(const Outputs& outputs) {
    bool finite = true;
    for (size_t i = 0; i < outputs.size(); ++i) {
      const int64_t count = count_nonfinite(outputs[i]);
      if (count == 0) continue;
      finite = false;
      context_.warn(fmt::format("output '{}' has {} values of {} that are NaN or infinite", output_name(model_, i),
                                count, outputs[i].numel()));
    }
    return finite;
  }

  // Fills cosine and snr_db with the lowest of all outputs, agreement with that of the first.
  void compare(const Outputs& own, const Outputs& reference) {
    if (own.size() != reference.size())
      fail_input("has another number of outputs (got {}, expected {})", reference.size(), own.size());
    for (size_t i = 0; i < own.size(); ++i) add(output_name(model_, i), agreement_of(own[i], reference[i]), i == 0);
  }

  void add(const std::string& name, const Agreement& agreement, bool first) {
    Json& metrics = context_.report.metrics;
    const auto lowest = [&](const char* key, double value) {
      if (!metrics.contains(key) || std::isnan(value) || value < metrics[key].get<double>()) metrics[key] = value;
    };
    if (first) metrics["agreement"] = agreement.arg_max;
    lowest("cosine", agreement.cosine);
    lowest("snr_db", agreement.snr_db);
    outputs_.push_back(
        {{"name", name}, {"cosine", agreement.cosine}, {"snr_db", agreement.snr_db}, {"mse", agreement.mse}});
  }

  at::Tensor target(size_t number) const {
    const Field& field = dataset_->targets()[number];
    Shape shape = field.shape;
    shape.insert(shape.begin(), dataset_->size());
    at::Tensor values = at::empty(shape, at::kFloat);
    std::vector<std::byte> scratch;
    for (int64_t i = 0; i < dataset_->size(); ++i)
      to_floats(field.dtype, dataset_->stored_target(number, i, scratch), element_count(field.shape),
                values.mutable_data_ptr<float>() + i * element_count(field.shape));
    return values;
  }

  // The mean squared error over all targets; without a baseline they are what the outputs are compared with, too.
  void compare_with_targets(const Outputs& own) {
    double sum = 0, elements = 0;
    for (size_t number = 0; number < dataset_->targets().size(); ++number) {
      const std::string& name = dataset_->targets()[number].name;
      size_t output = number;
      for (size_t i = 0; i < own.size(); ++i)
        if (output_name(model_, i) == name) output = i;
      if (output >= own.size())
        fail_input("{}: '{}' belongs to no output (the model has {})", dataset_->name(), name, own.size());
      const Agreement agreement = with_context(fmt::format("{}: '{}'", dataset_->name(), name),
                                               [&] { return agreement_of(own[output], target(number)); });
      sum += agreement.mse * static_cast<double>(own[output].numel());
      elements += static_cast<double>(own[output].numel());
      if (!baseline_) add(output_name(model_, output), agreement, output == 0);
    }
    if (elements > 0) context_.report.metrics["mse"] = sum / elements;
  }

  // `own` came from ONNX Runtime.
  void compare_runtimes(const Outputs& own) {
    const Outputs pare = outputs_of(*make_pare_runner(model_.graph, device_), model_);
    Json& metrics = context_.report.metrics;
    double cosine = 1, snr = highest_snr_db;
    for (size_t i = 0; i < own.size(); ++i) {
      const Agreement agreement = agreement_of(pare[i], own[i]);
      if (i == 0) metrics["runtime_agreement"] = agreement.arg_max;
      cosine = std::isnan(agreement.cosine) ? not_a_number : std::min(cosine, agreement.cosine);
      snr = std::isnan(agreement.snr_db) ? not_a_number : std::min(snr, agreement.snr_db);
    }
    metrics["runtime_cosine"] = cosine;
    metrics["runtime_snr_db"] = snr;
  }

  // In pare's executor, which takes changed graphs, whatever the runtime of the other figures.
  void measure_sensitivity() {
    const Outputs own = outputs_of(*make_pare_runner(model_.graph, device_), model_);
    const bool labelled = dataset_->labelled();
    Table table({"weight", "change", "cosine", "SNR, dB", labelled ? "accuracy" : ""});
    for_each_weight_change(model_.graph, options_.sensitivity, [&](const WeightChange& change) {
      const Outputs changed = outputs_of(*make_pare_runner(change.graph, device_), model_);
      double cosine = 1, snr = highest_snr_db;
      for (size_t i = 0; i < own.size(); ++i) {
        const Agreement agreement = agreement_of(changed[i], own[i]);
        cosine = std::isnan(agreement.cosine) ? not_a_number : std::min(cosine, agreement.cosine);
        snr = std::isnan(agreement.snr_db) ? not_a_number : std::min(snr, agreement.snr_db);
      }
      Json row = {{"name", change.weight}, {"op", change.op},  {"shape", change.shape}, {"change", change.change},
                  {"bits", change.bits},   {"cosine", cosine}, {"snr_db", snr},         {"sparsity", change.sparsity}};
      std::string accuracy;
      if (labelled) {
        row["accuracy"] = measure(changed.front(), labels_of(*dataset_)).accuracy;
        accuracy = percent_text(row["accuracy"]);
      }
      table.add({change.weight, change.change, fmt::format("{:.6f}", cosine), fmt::format("{:.1f}", snr), accuracy});
      context_.report.layers.push_back(std::move(row));
    });
    context_.print(table.text());
  }

  void save(const Outputs& outputs) const {
    std::vector<NamedTensor> named;
    for (size_t i = 0; i < outputs.size(); ++i)
      named.push_back({output_name(model_, i), from_aten(outputs[i], dtype_of(outputs[i].scalar_type()))});
    save_npz(named, options_.save_outputs);
  }

  Latency time(const LoadedModel& model, int64_t size) const {
    const auto runner = runner_of(model);
    if (!dataset_) {
      const InputShapes shapes = parse_input_shapes(options_.data.shapes);
      const SyntheticBatch made =
          with_context(model.model.path, [&] { return synthetic_batch(model.graph, size, shapes); });
      return time_runner(*runner, made.batch);
    }
    std::vector<int64_t> samples(static_cast<size_t>(size));
    for (size_t i = 0; i < samples.size(); ++i) samples[i] = static_cast<int64_t>(i) % dataset_->size();
    const DatasetPtr repeated = subset(dataset_, samples);
    const Binding binding = bind_samples(model.graph, *dataset_, options_.data);
    Loader loader(*repeated, loader_config(binding, *repeated, options_.data, size));
    loader.start(0);
    return time_runner(*runner, *loader.next());
  }

  void measure_latency() {
    Json& metrics = context_.report.metrics;
    for (const int64_t batch : options_.batch_sizes) {
      const Latency own = time(model_, batch);
      latencies_.emplace_back(batch, own);
      Json row = {{"batch", batch}, {"latency_ms_p50", own.p50}, {"latency_ms_p95", own.p95}};
      if (baseline_) row["speedup"] = time(*baseline_, batch).p50 / own.p50;
      if (batch == options_.batch_sizes.front())
        for (const auto& [key, value] : row.items())
          if (key != "batch") metrics[key] = value;
      context_.report.result["latencies"].push_back(std::move(row));
    }
  }

  void print() {
    const Json& result = context_.report.result;
    Table table({options_.model, ""});
    table.add({"runtime", runtimes_.name()});
    table.add({"parameters", count_text(result.at("parameters"))});
    table.add({"nonzero", count_text(result.at("nonzero"))});
    table.add({"bytes", count_text(static_cast<int64_t>(model_.model.file_bytes))});
    for (const auto& [name, value] : context_.report.metrics.items())
      if (!name.starts_with("latency")) table.add({name, fmt::format("{:.4f}", value.get<double>())});
    if (outputs_.size() > 1)
      for (const Json& output : outputs_)
        table.add({"output " + output.at("name").get<std::string>(),
                   fmt::format("cosine {:.6f}, SNR {:.1f} dB", output.at("cosine").get<double>(),
                               output.at("snr_db").get<double>())});
    for (const auto& [batch, latency] : latencies_)
      table.add({fmt::format("latency, batch {}", batch),
                 fmt::format("{:.3f} ms (95 %: {:.3f} ms)", latency.p50, latency.p95)});
    if (!outputs_.empty()) context_.report.result["outputs"] = outputs_;
    context_.print(table.text());
  }

  const EvaluateOptions& options_;
  RunContext& context_;
  at::Device device_;
  Runtimes runtimes_;
  LoadedModel model_;
  std::optional<LoadedModel> baseline_;
  DatasetPtr dataset_;
  std::vector<std::pair<int64_t, Latency>> latencies_;
  std::vector<Json> outputs_;
};

}  // namespace

ExitCode run_evaluate(const EvaluateOptions& options, RunContext& context) {
  Evaluator(options, context).run();
  return ExitCode::ok;
}

}  // namespace pare
