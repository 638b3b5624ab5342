#include "src/train/fidelity.hpp"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/eq.h>

#include "src/train/agreement.hpp"

namespace pare {

std::optional<Fidelity> compare_outputs(const std::vector<at::Tensor>& outputs,
                                        const std::vector<at::Tensor>& reference) {
  Fidelity sum;
  int64_t counted = 0;
  for (size_t i = 0; i < std::min(outputs.size(), reference.size()); ++i) {
    if (!outputs[i].is_floating_point() || outputs[i].sizes() != reference[i].sizes()) continue;
    PowerSums sums;
    sums.add(outputs[i], reference[i]);
    sum.cosine += sums.cosine();
    sum.snr_db += sums.snr_db();
    ++counted;
  }
  if (counted == 0) return std::nullopt;
  sum.cosine /= static_cast<double>(counted);
  sum.snr_db /= static_cast<double>(counted);
  if (outputs[0].dim() == 2 && outputs[0].size(1) > 1 && outputs[0].sizes() == reference[0].sizes())
    sum.agreement =
        static_cast<double>(at::eq(at::argmax(outputs[0], 1), at::argmax(reference[0], 1)).sum().item<int64_t>()) /
        static_cast<double>(outputs[0].size(0));
  return sum;
}

}  // namespace pare
