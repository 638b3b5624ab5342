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

void PowerSums::add(const at::Tensor& outputs, const at::Tensor& wanted) {
  constexpr int64_t block = int64_t{1} << 18;
  const at::Tensor a = outputs.flatten(), b = wanted.flatten();
  elements += a.numel();
  for (int64_t i = 0; i < a.numel(); i += block) {
    const int64_t count = std::min(block, a.numel() - i);
    const at::Tensor x = a.narrow(0, i, count).to(at::kDouble), y = b.narrow(0, i, count).to(at::kDouble);
    const at::Tensor difference = x - y;
    own += x.dot(x).item<double>();
    reference += y.dot(y).item<double>();
    product += x.dot(y).item<double>();
    error += difference.dot(difference).item<double>();
  }
}

void PowerSums::add(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& wanted) {
  for (size_t i = 0; i < outputs.size(); ++i)
    if (outputs[i].is_floating_point()) add(outputs[i], wanted.at(i));
}

double PowerSums::cosine() const {
  if (error == 0) return 1;
  if (std::isnan(error)) return error;
  const double lengths = std::sqrt(own) * std::sqrt(reference);
  return lengths > 0 ? std::clamp(product / lengths, -1.0, 1.0) : 0;
}

double PowerSums::snr_db() const {
  return error == 0 ? highest_snr_db : std::clamp(10 * std::log10(reference / error), -highest_snr_db, highest_snr_db);
}

double PowerSums::relative_error() const {
  return error == 0 ? 0 : error / std::max(reference, std::numeric_limits<double>::min());
}

PowerSums power_sums(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& reference) {
  PowerSums sums;
  sums.add(outputs, reference);
  return sums;
}

Agreement agreement_of(const at::Tensor& outputs, const at::Tensor& reference) {
  if (outputs.numel() != reference.numel())
    fail_input("outputs differ in shape (got {}, expected {})", shape_text(outputs.sizes().vec()),
               shape_text(reference.sizes().vec()));
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  if (count_nonfinite(outputs) > 0) return {nan, nan, nan, nan};
  PowerSums sums;
  sums.add(outputs, reference);
  return {sums.cosine(), sums.snr_db(), sums.elements > 0 ? sums.error / static_cast<double>(sums.elements) : 0,
          arg_max_agreement(outputs.reshape(reference.sizes()), reference)};
}

int64_t count_nonfinite(const at::Tensor& tensor) {
  if (!tensor.is_floating_point()) return 0;
  return tensor.numel() - at::isfinite(tensor).sum().item<int64_t>();
}

}  // namespace pare
