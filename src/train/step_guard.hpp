// Steps whose gradients are not finite are left out: nothing that training keeps changes in them. With fp16 the loss is
// scaled, and the scale follows what is found. All of it stays on the device: no step waits for the host.
#pragma once

#include "src/exec/parameters.hpp"

namespace pare {

enum class LossScaling { none, dynamic };

class StepGuard {
 public:
  // Dynamic scaling starts at 2^16, halves when gradients overflow and doubles after 2000 steps without (Micikevicius
  // et al., Mixed Precision Training, 2018).
  StepGuard(const Parameters& parameters, LossScaling scaling);

  // To be called before a step's forward pass: keeps the running statistics, which the forward pass changes.
  void begin();
  // The loss to differentiate.
  at::Tensor scaled(const at::Tensor& loss) const;
  // Divides the gradients of all leaves by the scale, and looks for inf and NaN in them and in `loss` (unscaled).
  void check(const at::Tensor& loss);
  // Scales all gradients so that their norm together is at most `limit` (Pascanu et al. 2013).
  void clip(double limit) const;
  // To be called after the optimizer's step: puts the statistics of a step left out back, renews scale and counters.
  void end();

  // [] float on the device: 1 when the present step is left out, else 0.
  const at::Tensor& found_inf() const { return found_inf_; }
  // Steps left out so far. Waits for the device.
  int64_t skipped() const;
  // Steps left out in a row up to now, not counting those that only made the scale smaller. Waits for the device.
  int64_t in_a_row() const;
  double scale() const;

  // By name, for checkpoints; contents may be replaced in place.
  std::map<std::string, at::Tensor> state() const;

 private:
  std::vector<at::Tensor> gradients() const;

  std::vector<at::Tensor> leaves_;
  std::vector<at::Tensor> statistics_;
  std::vector<at::Tensor> kept_;  // statistics_ before the step
  bool scaling_;
  at::Tensor found_inf_;
  at::Tensor scale_;
  at::Tensor growth_;  // steps since the scale changed, int32
  at::Tensor skipped_;
  at::Tensor in_a_row_;
};

}  // namespace pare
