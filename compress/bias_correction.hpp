// Bias correction by samples (Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction,
// 2019, in its empirical form; Banner et al. 2018): rounding moves the mean of each output channel of a layer, and the
// bias takes that back.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "compress/qdq_placement.hpp"
#include "src/exec/executor.hpp"

namespace pare {

// Gives every Conv and Gemm with a constant float32 weight and no bias one of zeros. Returns how many.
int add_missing_biases(Graph& graph);

// What a channel's mean error must have of its mean squared error: errors of few values, as where a range was cut, are
// not those of the others, which the correction would move.
inline constexpr double least_mean_share = 0.25;

// All layers in two passes over the samples, in memory that does not grow with them. Each batch runs in float and
// quantized; a layer's shift is measured behind predecessors that are corrected already, in the same run. In the first
// pass corrections are the mean of what the batches so far ask for, in the second they stay, and the mean of what all
// batches ask for is the result. Only values count that readers tell apart (of what a Relu reads those above 0), in
// float or quantized. Channels below least_mean_share keep their bias.
class BiasCorrection {
 public:
  // `quantized`: `graph` with Q/DQ, and float biases under their names. Layers without a bias of their own, of one
  // number a channel, are left alone. Keeps no reference to the graphs.
  BiasCorrection(const Graph& graph, const Graph& quantized, const QuantPlacement& placement, at::Device device);
  BiasCorrection(const BiasCorrection&) = delete;
  BiasCorrection& operator=(const BiasCorrection&) = delete;

  // One batch, in the order of Graph::inputs.
  void add(std::span<const at::Tensor> inputs);
  // Between the passes.
  void next_pass();

  struct Corrected {
    std::string layer;  // name of the node
    Tensor bias;        // float32
    double shift = 0;   // largest change of a bias
  };
  // By the bias' value, after the second pass; layers that no sample reached are missing.
  std::map<ValueId, Corrected> biases() const;

 private:
  struct Layer {
    std::string name;
    ValueId bias = no_value;
    int64_t axis = 1;           // of the channels of the layer's result
    at::Tensor original;        // bias, fp32
    at::Tensor applied;         // what the quantized run has, shared with its parameters
    ValueLimits limits;         // of what is told apart
    at::Tensor error, squares;  // sums over the values of a channel that count, without what is applied
    at::Tensor count;           // of them
    at::Tensor expected;        // of the batch, in float

    at::Tensor corrected() const;
  };

  void see_float(ValueId id, const at::Tensor& value);
  void see_quantized(ValueId id, const at::Tensor& value);

  Executor float_executor_, quantized_executor_;
  Parameters float_parameters_, quantized_parameters_;
  std::vector<Layer> layers_;
  std::map<ValueId, size_t> float_results_, quantized_results_;  // of layers_, by what the layer computes
  Observation float_observation_, quantized_observation_;
  bool follows_ = true;  // in the first pass
};

}  // namespace pare
