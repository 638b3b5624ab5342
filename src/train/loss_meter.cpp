#include "src/train/loss_meter.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/rsub.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

namespace pare {

LossMeter::LossMeter(at::Device device)
    : sum_(at::zeros({}, at::TensorOptions().dtype(at::kDouble).device(device))), count_(sum_.clone()) {}

void LossMeter::reset() {
  sum_.zero_();
  count_.zero_();
}

void LossMeter::add(const at::Tensor& loss, const at::Tensor& found_inf) {
  const c10::AutoGradMode no_grad(false);
  const at::Tensor skipped = found_inf != 0;
  sum_ += at::where(skipped, 0.0, loss.detach().to(at::kDouble));
  count_ += at::rsub(found_inf, 1.0);
}

double LossMeter::mean() const { return sum_.item<double>() / count_.item<double>(); }

}  // namespace pare
