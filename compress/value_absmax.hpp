// The largest magnitude of each channel of values, measured while a model runs over calibration samples. Memory does
// not grow with the samples.
#pragma once

#include <map>
#include <vector>

#include "src/exec/executor.hpp"

namespace pare {

class ValueAbsmax {
 public:
  // `axes`: the axis of the channels of each value to watch; negative: from the end.
  explicit ValueAbsmax(const std::map<ValueId, int64_t>& axes);
  ValueAbsmax(const ValueAbsmax&) = delete;
  ValueAbsmax& operator=(const ValueAbsmax&) = delete;

  // To be given to Executor::run.
  const Observation& observation() const { return observation_; }

  // A number a channel; values that were never computed, or whose channels changed in number, have none.
  std::map<ValueId, std::vector<float>> absmax() const;

 private:
  void see(ValueId id, const at::Tensor& value);

  std::map<ValueId, int64_t> axes_;
  std::map<ValueId, at::Tensor> largest_;  // fp32
  Observation observation_;
};

}  // namespace pare
