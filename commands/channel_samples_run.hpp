// What pruning of channels runs the model on: inputs for the proof, gradients for scores, labelled samples to measure.
#pragma once

#include "commands/engine_run.hpp"
#include "commands/prune.hpp"
#include "compress/channel_scores.hpp"
#include "src/core/error.hpp"
#include "src/graph/input_shapes.hpp"

namespace pare {

// sum | mean | max.
GroupScore group_score_of(const std::string& name);

class ChannelSamples {
 public:
  // Opens --data where it is given. Throws exit 2 and 3 for what does not fit the model, and exit 2 for a gate that the
  // data cannot answer.
  ChannelSamples(const PruneOptions& options, const Graph& graph, at::Device device, RunContext& context);

  // The sizes that the samples give the model's inputs; without samples those of --shape.
  InputShapes shapes() const;
  // The first samples as the model takes them, on the CPU; random ones without data.
  std::vector<at::Tensor> inputs(const Graph& sized) const;
  // Batches of --score-samples samples, on the CPU, as many as fit 256 MB; without data a few random ones.
  std::vector<std::vector<at::Tensor>> score_inputs(const Graph& sized) const;
  // The importance of each unit as --importance says.
  GroupScores scores(const Graph& graph, const ChannelGroups& groups) const;
  // Accuracy and loss of a graph on --val, else the test part of the data, else the data; no value without labels.
  std::optional<Metrics> measure(const Graph& graph) const;
  // Puts into `metrics` how good the outputs of `written` are: accuracy and loss with labels (and the drop from
  // `original`); without labels, how near they are to those of `original`. Nothing without data.
  void compare(const Graph& original, const Graph& written, Json& metrics) const;

  // What work() returns, which runs the model on inputs(). Where their sizes were assumed and do not fit, the error
  // (exit 3) says how to give them.
  template <class Work>
  auto checked(Work&& work) const {
    try {
      return work();
    } catch (const Error& error) {
      blame_assumed_sizes(error);
      throw;
    }
  }

 private:
  void blame_assumed_sizes(const Error& error) const;
  std::vector<at::Tensor> first_inputs() const;

  const PruneOptions& options_;
  const Graph& graph_;
  at::Device device_;
  InputShapes given_;  // by --shape
  DatasetPtr samples_;
  DatasetPtr measured_;
  LoaderConfig loader_config_;
};

}  // namespace pare
