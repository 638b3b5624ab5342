#include "src/train/fidelity.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/dot.h>
#include <ATen/ops/eq.h>

namespace pare {

std::optional<Fidelity> compare_outputs(const std::vector<at::Tensor>& outputs,
                                        const std::vector<at::Tensor>& reference) {
  constexpr double most_db = 300;
  Fidelity sum;
  int64_t counted = 0;
  for (size_t i = 0; i < std::min(outputs.size(), reference.size()); ++i) {
    if (!outputs[i].is_floating_point() || outputs[i].sizes() != reference[i].sizes()) continue;
    const at::Tensor a = outputs[i].to(at::kDouble).flatten(), b = reference[i].to(at::kDouble).flatten();
    const double signal = at::dot(b, b).item<double>(), own = at::dot(a, a).item<double>();
    const double noise = (a - b).pow(2).sum().item<double>();
    const double length = std::sqrt(signal * own);
    sum.cosine += length > 0 ? at::dot(a, b).item<double>() / length : signal == own ? 1 : 0;
    sum.snr_db += noise > 0 ? std::min(most_db, 10 * std::log10(signal / noise)) : most_db;
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
