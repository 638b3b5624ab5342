// What a layer should compute and what it is given: rows of its inputs behind quantized predecessors, and the float
// network's outputs for them; a bounded number, however much data there is.
#pragma once

#include <limits>

#include "compress/layer_hessians.hpp"
#include "compress/weight_layout.hpp"
#include "src/core/random.hpp"
#include "src/exec/executor.hpp"

namespace pare {

// A graph with its constants, which may change between runs.
struct Network {
  const Graph& graph;
  const Parameters& parameters;
};

// What lies behind a layer's product: its bias, and the bounds of a Relu or Clip that alone reads the sum.
struct LayerEnd {
  at::Tensor bias;  // [groups, 1, outputs of a group]; undefined: none
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();

  bool limited() const {
    return low > -std::numeric_limits<float>::infinity() || high < std::numeric_limits<float>::infinity();
  }
};

struct LayerSamples {
  at::Tensor inputs;  // [groups, n, K], as the quantized predecessors compute them
  // [groups, n, outputs of a group]: what the float layer gives in the float network, within the bounds; a Gemm's alpha
  // counts as part of the weight
  at::Tensor targets;
  LayerEnd end;
};

// Calls its argument with each batch of samples, in the order of Graph::inputs.
using ForEachBatch = std::function<void(const std::function<void(std::span<const at::Tensor> inputs)>&)>;

// Rows of the layer that multiplies by `weight`, drawn at random: `rows` in all, about equally many of each of the
// `samples` samples, in memory of at most `bytes`. `quantized` is `exact` with more nodes: ids of the weights are the
// same. Equal arguments draw equal rows. Throws exit 3 as for_each_rows() does, and for inputs that are NaN or
// infinite.
struct SampleBudget {
  int64_t samples = 0;
  int64_t rows = 16384;
  int64_t bytes = int64_t{1} << 28;
};
LayerSamples sample_layer(const Network& exact, const Network& quantized, ValueId weight, const SampleBudget& budget,
                          const ForEachBatch& for_each_batch, RandomKey key);

}  // namespace pare
