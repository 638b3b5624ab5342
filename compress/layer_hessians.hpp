// The Hessians of many layers from one run over samples.
#pragma once

#include "compress/hessian.hpp"
#include "compress/weight_layout.hpp"
#include "src/exec/executor.hpp"

namespace pare {

// Runs the model, as its parameters are now, over the calibration samples, with the observation; all of them, or until
// it has enough.
using RunSamples = std::function<void(const Observation&)>;

// Whether the nodes that read the weight are products of a computed value, so that their inputs can be watched.
bool has_hessian(const Graph& graph, ValueId weight);

// What a Hessian of K inputs takes: the first runs, at least `runs` of them and as many as give `per_input` K rows, but
// no more than twice `runs`; of a run's rows evenly spaced ones, where a `runs`-th of that many is enough.
struct HessianRows {
  int64_t per_input = 0;  // 0: all rows of all runs
  int64_t runs = 1;
};

// Hessians of the inputs of the layers that multiply by `weights`, in one call of `run_samples`. Matrix products of the
// same value share one. Memory: K x K of each different input.
class LayerHessians {
 public:
  // Throws exit 3 as for_each_rows() does.
  LayerHessians(const Graph& graph, const std::vector<ValueId>& weights, at::Device device,
                const RunSamples& run_samples, HessianRows rows = {});

  // Of one of `weights`.
  const Hessian& of(ValueId weight) const { return hessians_[owner_.at(weight)]; }
  // The same number for weights that share their Hessian.
  size_t owner(ValueId weight) const { return owner_.at(weight); }

 private:
  std::vector<Hessian> hessians_;
  std::map<ValueId, size_t> owner_;
};

}  // namespace pare
