// One-shot pruning of a model without gradients: layer by layer, weights are chosen and the kept ones refit so that the
// layer's outputs on calibration samples change least (Frantar & Alistarh, SparseGPT, 2023).
#pragma once

#include "compress/layer_hessians.hpp"
#include "compress/pattern.hpp"

namespace pare {

struct ReconstructConfig {
  double sparsity = 0.5;        // of single weights; of n_of_m the pattern says it
  Pattern pattern;              // weight or n_of_m
  std::string scope = "layer";  // layer | erk
  double damping = 0.01;
};

// Prunes and refits the weights of `masks` (uint8, 1 keeps; what is 0 stays 0) in place, in the order of the layers:
// each sees the inputs that the layers before it give after their own pruning. Gives the squared change of each layer's
// outputs over their squared size, by weight. Memory: the K x K statistics of the layers that read the same value.
// Throws exit 3 naming the weight whose layer is no product of an input that can be watched, or whose input holds NaN.
std::map<std::string, double> reconstruct(const Graph& graph, const Parameters& parameters,
                                          const std::map<std::string, at::Tensor>& masks,
                                          const ReconstructConfig& config, const RunSamples& run_samples);

// One matrix [outputs, K] (fp32, row-major) with its mask [outputs, K], both changed in place. `pruned`: how many
// elements are zero afterwards, at least; n_of_m goes without.
void reconstruct_matrix(const at::Tensor& matrix, const at::Tensor& mask, const InverseFactor& factor,
                        const Pattern& pattern, int64_t pruned);

}  // namespace pare
