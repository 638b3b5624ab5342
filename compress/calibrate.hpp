// Observes the activations of a placement while the model runs over samples, in memory that does not grow with their
// number.
#pragma once

#include <map>
#include <vector>

#include "compress/observers.hpp"
#include "compress/qdq_placement.hpp"
#include "src/exec/executor.hpp"

namespace pare {

class Calibrator {
 public:
  // Places that are the same as another are not observed. `graph` and `placement` must outlive the calibrator.
  Calibrator(const Graph& graph, const QuantPlacement& placement, const Calibration& calibration, at::Device device);
  Calibrator(const Calibrator&) = delete;

  // To be given to Executor::run(): any number of runs; one pass over the samples does for every method.
  const Observation& observation() const { return observation_; }

  // Codes to choose from for every observed place: those of choose() first, then, for mse, those of ranges that are cut
  // more or less on both sides or one; close are those with at most 1.5 times the values' least squared error.
  std::map<ValueId, std::vector<CodesChoice>> choices(const std::function<CodeForm(const QuantPlace&)>& form) const;

  // The codes of every observed place; `form` tells what is asked of it. Throws (exit 3) naming the first value in the
  // order of the nodes that was NaN or infinite, or that was never observed.
  std::map<ValueId, ActivationCodes> choose(const std::function<CodeForm(const QuantPlace&)>& form) const;

 private:
  void observe(ValueId id, const at::Tensor& value);
  // What was seen of a place, within its limits; a range alone for minmax.
  kernels::Histogram histogram_of(const QuantPlace& place) const;

  const Graph& graph_;
  const QuantPlacement& placement_;
  const Calibration calibration_;
  // Bytes of a kernels::Histogram, or of a kernels::ValueRange where nothing else is needed, on the device.
  std::map<ValueId, at::Tensor> observed_;
  Observation observation_;
};

}  // namespace pare
