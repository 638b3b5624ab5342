// AdaRound of a network's weights layer after layer: each is given what the layers rounded before it compute.
#pragma once

#include "compress/adaround.hpp"

namespace pare {

struct SequentialConfig {
  AdaroundConfig adaround;
  SampleBudget budget;
};

class SequentialRounding {
 public:
  // `quantized` is `exact` with quantized activations (simulate_activations()) or `exact` itself. `exact` must outlive
  // this.
  SequentialRounding(const Graph& exact, Graph quantized, at::Device device, SequentialConfig config,
                     ForEachBatch for_each_batch);
  SequentialRounding(const SequentialRounding&) = delete;

  // Rounds a weight, and lets later ones see it; to be called in the order of the nodes. `values` and `nearest` are as
  // written: `transposed` against the graph or not, a Gemm's alpha a factor of them. Weights that are no plain products
  // of a computed value are rounded to nearest, without errors. Throws as sample_layer(), naming the weight.
  RoundedWeight round(ValueId weight, const std::vector<float>& values, EncodedWeight nearest, bool transposed = false);

 private:
  void put(ValueId weight, const EncodedWeight& rounded, bool transposed);

  const Graph& exact_;
  Graph quantized_;
  Parameters exact_parameters_, quantized_parameters_;
  SequentialConfig config_;
  ForEachBatch for_each_batch_;
};

}  // namespace pare
