// Importance of every weight from gradients over batches, for groups of channels.
#pragma once

#include <map>

#include "src/exec/parameters.hpp"

namespace pare {

class GradientScores {
 public:
  // method: taylor |w g| (Molchanov et al. 2019) or fisher (w g)^2 (Theis et al. 2018), summed over batches.
  GradientScores(const Parameters& parameters, std::string method);

  // Adds the leaves' present gradients; a batch with inf or NaN is left out. average: decay of a moving average,
  // S <- average S + (1 - average) s; 1: the sum of all.
  void add(double average = 1);
  // The scores by name, for checkpoints; contents may be replaced in place.
  std::map<std::string, at::Tensor> state() const;
  // The scores of a constant's elements, row-major; no value where nothing was trained. Throws (exit 1) when there were
  // batches and all were left out.
  std::optional<std::vector<double>> elements(ValueId value) const;

 private:
  const Parameters& parameters_;
  std::string method_;
  std::map<ValueId, at::Tensor> sums_;
  int64_t added_ = 0;  // batches
  int64_t left_out_ = 0;
};

// A loss that tells channels apart without labels: the mean over outputs of their values, divided by their size, times
// seeded random signs; self-distillation would have no gradient at its own minimum.
at::Tensor sign_projection(std::span<const at::Tensor> outputs, uint64_t seed);

}  // namespace pare
