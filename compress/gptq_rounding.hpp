// GPTQ for a network's weights: each with the Hessian of what its layer is given in float.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "compress/gptq.hpp"
#include "compress/layer_hessians.hpp"

namespace pare {

class GptqRounding {
 public:
  // Weights without a Hessian (has_hessian()) are dropped from `weights`. `run_samples` is called once for as many
  // weights, in their order, as have Hessians that fit into 1 GiB, and `rows` says how many these take. The graph must
  // outlive this.
  GptqRounding(const Graph& graph, const std::vector<ValueId>& weights, at::Device device, RunSamples run_samples,
               HessianRows rows = {});

  // To be called in the order of `weights`; those that are not among them are rounded to nearest, without errors.
  // `values` and `nearest` are as written: `transposed` against the graph or not, a Gemm's alpha a factor of them.
  // Throws exit 3 naming the weight as rounding_orders() does, or as LayerHessians.
  RoundedWeight round(ValueId weight, const std::vector<float>& values, EncodedWeight nearest, bool transposed = false);

  // Of the runs over the samples, and of what followed.
  double measuring_seconds() const { return measuring_seconds_; }
  double rounding_seconds() const { return rounding_seconds_; }

 private:
  void measure(std::vector<ValueId>::const_iterator place);

  const Graph& graph_;
  std::vector<ValueId> weights_;
  at::Device device_;
  RunSamples run_samples_;
  HessianRows rows_;
  std::set<ValueId> measured_;
  std::optional<LayerHessians> hessians_;
  std::map<size_t, std::vector<RoundingOrder>> orders_;
  double measuring_seconds_ = 0, rounding_seconds_ = 0;
};

}  // namespace pare
