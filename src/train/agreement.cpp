#include "src/train/agreement.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/isfinite.h>

#include "src/core/error.hpp"
#include "src/graph/tensor.hpp"

namespace pare {
namespace {

double arg_max_agreement(const at::Tensor& a, const at::Tensor& b) {
  if (a.dim() == 0 || a.numel() == 0) return 1;
  const at::Tensor equal = at::eq(at::argmax(a, -1), at::argmax(b, -1));
  return static_cast<double>(equal.sum().item<int64_t>()) / static_cast<double>(equal.numel());
}

}  // namespace

Agreement agreement_of(const at::Tensor& outputs, const at::Tensor& reference) {
  if (outputs.numel() != reference.numel())
    fail_input("outputs differ in shape (got {}, expected {})", shape_text(outputs.sizes().vec()),
               shape_text(reference.sizes().vec()));
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  if (count_nonfinite(outputs) > 0) return {nan, nan, nan, nan};
  const at::Tensor own = outputs.to(at::kDouble).flatten(), wanted = reference.to(at::kDouble).flatten();
  const double own_power = own.dot(own).item<double>(), wanted_power = wanted.dot(wanted).item<double>();
  const at::Tensor difference = own - wanted;
  const double error = difference.dot(difference).item<double>();
  Agreement result;
  const double lengths = std::sqrt(own_power) * std::sqrt(wanted_power);
  result.cosine = error == 0 ? 1 : lengths > 0 ? std::clamp(own.dot(wanted).item<double>() / lengths, -1.0, 1.0) : 0;
  // Without power in the reference any error is infinitely loud.
  result.snr_db =
      error == 0 ? highest_snr_db : std::clamp(10 * std::log10(wanted_power / error), -highest_snr_db, highest_snr_db);
  result.mse = own.numel() > 0 ? error / static_cast<double>(own.numel()) : 0;
  result.arg_max = arg_max_agreement(outputs.reshape(reference.sizes()), reference);
  return result;
}

int64_t count_nonfinite(const at::Tensor& tensor) {
  if (!tensor.is_floating_point()) return 0;
  return tensor.numel() - at::isfinite(tensor).sum().item<int64_t>();
}

}  // namespace pare
