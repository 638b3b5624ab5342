// The mean loss of an epoch so far, kept on the device.
#pragma once

#include "src/exec/aten.hpp"

namespace pare {

class LossMeter {
 public:
  explicit LossMeter(at::Device device);

  void reset();
  // Adds the loss of a step; one that `found_inf` ([] float) says was left out does not count.
  void add(const at::Tensor& loss, const at::Tensor& found_inf);
  // Mean since reset(); NaN when no step counted. Waits for the device.
  double mean() const;

  std::map<std::string, at::Tensor> state() const { return {{"loss/sum", sum_}, {"loss/count", count_}}; }

 private:
  at::Tensor sum_;
  at::Tensor count_;
};

}  // namespace pare
