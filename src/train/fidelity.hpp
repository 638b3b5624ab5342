// How near a model's outputs are to a reference: what is measured where there are no labels.
#pragma once

#include <optional>

#include "src/exec/aten.hpp"

namespace pare {

struct Fidelity {
  double cosine = 0;                // of each output as one vector, mean over the outputs
  double snr_db = 0;                // 10 log10(sum reference^2 / sum difference^2), mean over the outputs; at most 300
  std::optional<double> agreement;  // share of samples with the same largest element, of a first output [N, K]
};

// Outputs of a model and of its reference, in the same order; outputs that are not float or differ in shape do not
// count. Empty when none does.
std::optional<Fidelity> compare_outputs(const std::vector<at::Tensor>& outputs,
                                        const std::vector<at::Tensor>& reference);

}  // namespace pare
