#include "commands/qat_result_run.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/gt.h>
#include <ATen/ops/sum.h>

#include "commands/model_summary.hpp"
#include "src/core/error.hpp"
#include "src/core/table.hpp"
#include "src/graph/edit.hpp"
#include "src/graph/fake_quant.hpp"

namespace pare {
namespace {

constexpr int64_t checked_samples = 1000;
constexpr double allowed_share = 1e-3;  // of values that differ by more than one step

std::vector<at::Tensor> run_layers(const Executor& executor, const Parameters& parameters,
                                   const std::vector<at::Tensor>& inputs) {
  const c10::AutoGradMode no_grad(false);
  return executor.run(parameters, inputs, false);
}

}  // namespace

Simulation::Simulation(TrainingRun& run, const Graph& graph, const DataOptions& data, int64_t batch) : run_(run) {
  for (const Node& node : graph.nodes)
    if (is_fake_quant(node) && !graph.value(node.inputs[0]).constant)
      places_.push_back(
          {graph.value(node.outputs[0]).name, node.name, double{graph.value(node.inputs[1]).constant->as<float>()[0]}});
  const Dataset& samples = run.final_samples();
  const Binding binding = bind_samples(run.student().graph, samples, data);
  Loader loader(samples, loader_config(binding, samples, data, batch));
  loader.start(0);
  for (int64_t seen = 0; seen < checked_samples;) {
    const Batch* batch = loader.next();
    if (batch == nullptr) break;
    std::vector<at::Tensor>& inputs = batches_.emplace_back();
    for (const at::Tensor& input : inputs_of(*batch, run.device())) inputs.push_back(input.clone());
    seen += batch->size;
  }
}

std::vector<at::Tensor> Simulation::run_batch(const Executor& executor, const Parameters& parameters,
                                              const Graph& graph, const std::vector<at::Tensor>& inputs) const {
  const c10::AutoGradMode no_grad(false);
  std::map<ValueId, at::Tensor> seen;
  Observation observation;
  observation.watched.resize(graph.values.size(), false);
  for (const Place& place : places_)
    if (const ValueId id = graph.find(place.name); id != no_value) observation.watched[static_cast<size_t>(id)] = true;
  observation.seen = [&](ValueId id, const at::Tensor& value) { seen[id] = value.clone(); };
  const std::vector<at::Tensor> outputs = executor.run(parameters, inputs, false, &observation);
  std::vector<at::Tensor> values;
  for (const Place& place : places_) {
    const auto found = seen.find(graph.find(place.name));  // the training form leaves repeated places out
    values.push_back(found == seen.end() ? at::Tensor() : found->second);
  }
  values.insert(values.end(), outputs.begin(), outputs.end());
  return values;
}

void Simulation::check(const Graph& written) const {
  const Executor executor(written);
  const Parameters parameters(written, run_.device(), Training::off);
  std::optional<Executor> layer_executor;
  std::optional<Parameters> layer_parameters;
  std::vector<double> beyond(places_.size()), compared(places_.size()), largest(places_.size());
  double same = 0, samples = 0;
  for (const std::vector<at::Tensor>& inputs : batches_) {
    const auto trained = run_batch(run_.executor(), run_.parameters(), run_.student().graph, inputs);
    if (!layer_executor) {
      const Graph layers = layer_by_layer(written, trained);
      layer_executor.emplace(layers);
      layer_parameters.emplace(layers, run_.device(), Training::off);
    }
    std::vector<at::Tensor> given = inputs;
    for (size_t i = 0; i < places_.size(); ++i)
      if (trained[i].defined()) given.push_back(trained[i]);
    const std::vector<at::Tensor> computed = run_layers(*layer_executor, *layer_parameters, given);
    size_t next = 0;
    for (size_t i = 0; i < places_.size(); ++i) {
      if (!trained[i].defined()) continue;
      const at::Tensor steps = (trained[i] - computed[next++]).abs() / places_[i].step;
      beyond[i] += steps.gt(1.5).sum().item<double>();
      compared[i] += static_cast<double>(steps.numel());
      largest[i] = std::max(largest[i], steps.max().item<double>());
    }
    const at::Tensor &a = trained[places_.size()], b = run_layers(executor, parameters, inputs)[0];
    samples += static_cast<double>(a.size(0));
    if (a.dim() == 2) same += a.argmax(1).eq(b.argmax(1)).sum().item<double>();
  }
  for (size_t i = 0; i < places_.size(); ++i)
    if (beyond[i] > allowed_share * compared[i])
      fail_run(
          "{}: the written file differs from what was trained (got {:.2f} % of the values more than one step apart, "
          "up to {:.0f} steps; expected at most {} %)",
          places_[i].layer, 100 * beyond[i] / compared[i], largest[i], 100 * allowed_share);
  agreement_ = samples == 0 ? 0 : same / samples;
}

Graph Simulation::layer_by_layer(const Graph& written, const std::vector<at::Tensor>& trained) const {
  Graph layers = written;
  layers.outputs.clear();
  for (size_t i = 0; i < places_.size(); ++i) {
    if (!trained[i].defined()) continue;  // the training form leaves repeated places out
    const ValueId computed = layers.find(places_[i].name);
    if (computed == no_value) fail_run("{}: the file has no value '{}'", places_[i].layer, places_[i].name);
    const ValueId given = add_computed_value(layers, places_[i].name + "/given", DType::float32, std::nullopt);
    for (Node& node : layers.nodes) std::replace(node.inputs.begin(), node.inputs.end(), computed, given);
    layers.inputs.push_back({given, {}, false});
    layers.outputs.push_back({computed, {}, false});
  }
  return layers;
}

Json quantized_layers_json(const Graph& graph) {
  std::map<ValueId, const Node*> quantized;
  for (const Node& node : graph.nodes)
    if (is_fake_quant(node)) quantized[node.outputs[0]] = &node;
  Json layers = Json::array();
  for (const Node& node : graph.nodes) {
    const auto found = quantized.find(node.input(1));
    if (is_fake_quant(node) || found == quantized.end() || !graph.value(found->second->inputs[0]).constant) continue;
    const Tensor& weight = *graph.value(found->second->inputs[0]).constant;
    const FakeQuantForm form = fake_quant_of(*found->second);
    const auto codes = static_cast<unsigned>(form.highest - form.lowest);
    const double elements = static_cast<double>(std::max<int64_t>(1, weight.elements()));
    layers.push_back({{"name", node.name},
                      {"op", op_name(node)},
                      {"shape", weight.shape},
                      {"sparsity", 1.0 - static_cast<double>(count_nonzero(weight)) / elements},
                      {"bits", std::bit_width(codes)}});
  }
  return layers;
}

void report_written(TrainingRun& run, const Simulation& simulation, const QuantizedOutput& written,
                    const Metrics& before, RunContext& context) {
  std::optional<Evaluation> first;
  for (const WrittenFile& file : written.files) {
    Evaluation evaluation = run.measure(load_executable(file.path).graph);
    if (first && !evaluation.outputs.front().equal(first->outputs.front()))
      fail_run("{}: gives other outputs than {}", file.path, written.files.front().path);
    if (!first) first = std::move(evaluation);
  }
  run.report_quality(*first, &before);
  context.report.result["export_agreement"] = simulation.agreement();
  const Json& metrics = context.report.metrics;
  Table table({"", "before", "after"});
  const Json& model = context.report.model;
  for (const WrittenFile& file : written.files)
    table.add({file.path, bytes_text(model.at("bytes")), bytes_text(static_cast<int64_t>(file.bytes))});
  if (metrics.contains("accuracy"))
    table.add({"accuracy", percent_text(before.accuracy), percent_text(metrics.at("accuracy"))});
  else if (metrics.contains("cosine"))
    table.add({run.compared_with(), "", fmt::format("{:.5f}", metrics.at("cosine").get<double>())});
  context.print(table.text());
}

}  // namespace pare
