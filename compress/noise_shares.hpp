// Which rounded values make the outputs differ: the noise that each place of a placement adds to them, to first order.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "compress/qdq_placement.hpp"
#include "compress/static_quantizer.hpp"
#include "src/exec/executor.hpp"

namespace pare {

// Of an activation the codes with the least noise among those that are close, or better than the first on the batches
// beyond doubt: by three standard errors of the mean. Of a weight its only ones.
struct NoiseShare {
  double noise = 0;  // the mean over the batches of |J e|^2 / |outputs|^2, summed over the outputs
  size_t choice = 0;
};

class NoiseShares {
 public:
  // `choices`: the codes that may be for each place; a weight is `rounded`, or to nearest as for the first ones. The
  // graph, `choices` and the placement must outlive the meter.
  NoiseShares(const Graph& graph, const QuantPlacement& placement,
              const std::map<ValueId, std::vector<CodesChoice>>& choices, const StaticConfig& config,
              const std::map<ValueId, EncodedWeight>& rounded, at::Device device, uint64_t seed);
  NoiseShares(const NoiseShares&) = delete;

  // One batch, in the order of Graph::inputs: a run forward and one backward. With J the derivative of the outputs by a
  // place's values and e their rounding errors, |J e|^2 is estimated by the gradients g of a sum of the outputs with
  // random signs (Hutchinson 1990): as sum (g e)^2 for activations, whose errors are independent, over at most 16,384
  // of a tensor's elements, one drawn in each of as many equal parts, and as (sum g e)^2 for weights, whose errors are
  // the same for every sample.
  // Outputs that are integers, or do not depend on what is quantized, do not count; what a last Softmax or Sigmoid
  // reads counts as an output, too.
  void add(std::span<const at::Tensor> inputs);

  // By the place's value: activations with codes of their own, and weights. 1 - cosine of the outputs is about half of
  // the sum.
  std::map<ValueId, NoiseShare> shares() const;

 private:
  struct Sums {
    double noise = 0;
    // Of each batch the noise of the first choice less this one's, as a share of both: no batch decides alone.
    double gain = 0, squared_gain = 0;
  };

  bool allowed(const CodesChoice& choice, const Sums& sums) const;
  void see(ValueId id, const at::Tensor& value);
  at::Tensor signed_sum(const std::vector<at::Tensor>& outputs) const;
  void add_activation(ValueId id, const at::Tensor& value, const at::Tensor& gradient);

  const std::map<ValueId, std::vector<CodesChoice>>& choices_;
  Executor executor_;
  Parameters parameters_;
  Observation observation_;
  std::map<int64_t, at::Tensor> places_;  // of this batch, by the tensor's elements
  std::map<ValueId, at::Tensor> weight_errors_;
  std::map<ValueId, std::vector<Sums>> sums_;  // by choice
  uint64_t seed_;
  uint32_t batches_ = 0;
};

// The codes that the shares chose, where fewer activations are quantized than in `whole`, which the choices are for.
std::map<ValueId, ActivationCodes> chosen_codes(const std::map<ValueId, std::vector<CodesChoice>>& choices,
                                                const std::map<ValueId, NoiseShare>& shares,
                                                const QuantPlacement& placement, const QuantPlacement& whole);

// The default: a cosine of about 0.998.
struct IslandConfig {
  double target = 0.004;  // noise of all places that is no reason to leave any float
  double costly =
      0.04;             // noise of one place alone at which it stays float even though a layer loses its integer kernel
  double spare = 0.05;  // share of the integer layers that may be lost to places of half the target
  size_t most = 0;      // places; 0: a quarter, at least two
};

// The places whose values should stay float: the noisiest first, until what is left adds at most the target. Places
// that add less than a hundredth of it do not count, and of weights none. `integer_layers` tells how many layers have
// integer kernels when such values stay float.
std::set<ValueId> float_islands(const QuantPlacement& placement, const std::map<ValueId, NoiseShare>& shares,
                                const IslandConfig& config,
                                const std::function<size_t(const std::set<ValueId>&)>& integer_layers);

// The order in which values should become float: `islands`, then all others with a share, weights too, the noisiest
// first.
std::vector<ValueId> float_order(const std::map<ValueId, NoiseShare>& shares, const std::set<ValueId>& islands);

}  // namespace pare
