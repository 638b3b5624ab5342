// The end of pare qat: is the written file what was trained, and how good is it.
#pragma once

#include "commands/quantize_output.hpp"
#include "commands/training_run.hpp"

namespace pare {

// What the trained model computes on up to 1,000 samples: every quantized activation, and the outputs.
class Simulation {
 public:
  // `graph`: the trained graph with its FakeQuants, whose steps are the distance of two codes.
  Simulation(TrainingRun& run, const Graph& graph, const DataOptions& data, int64_t batch);

  // Runs a written graph on the same samples, each layer on what the trained one has there: a code that rounding moves
  // in one layer is not counted in those behind it. Throws (exit 1) naming the first layer of which more than a
  // thousandth of the values differ by more than one step.
  void check(const Graph& written) const;

  // Share of samples with the same largest output, of the last graph that was checked.
  double agreement() const { return agreement_; }

 private:
  struct Place {
    std::string name;   // of the value that readers read
    std::string layer;  // for messages
    double step = 1;
  };
  // Values of all places, then the outputs, of one batch.
  std::vector<at::Tensor> run_batch(const Executor& executor, const Parameters& parameters, const Graph& graph,
                                    const std::vector<at::Tensor>& inputs) const;

  // The written graph with every place's readers reading a further input instead, and the places as outputs.
  Graph layer_by_layer(const Graph& written, const std::vector<at::Tensor>& trained) const;

  TrainingRun& run_;
  std::vector<Place> places_;
  std::vector<std::vector<at::Tensor>> batches_;  // inputs of each
  mutable double agreement_ = 0;
};

// Accuracy of the first written file, and that all files give the same outputs, in the report; prints the table.
void report_written(TrainingRun& run, const Simulation& simulation, const QuantizedOutput& written,
                    const Metrics& before, RunContext& context);

// A row for each layer with fake-quantized weights: name, op, shape, sparsity, bits.
Json quantized_layers_json(const Graph& graph);

}  // namespace pare
