// How long a changed model runs, against the model as it was given: in ONNX Runtime where one is found.
#pragma once

#include "commands/runner_run.hpp"

namespace pare {

class LatencyMeter {
 public:
  // A choice is looked for that takes this much of its target, so that the written file meets it when it is measured
  // again.
  static constexpr double margin = 0.97;

  // `original` as its file is; every run takes `inputs`, on the CPU. ONNX Runtime is taken where one is found and the
  // device is the CPU, else pare's own executor on the device. `threads`: 0 as the runtime thinks.
  LatencyMeter(const LoadedModel& original, std::vector<at::Tensor> inputs, int64_t threads, at::Device device);

  // "ONNX Runtime 1.32.0", "pare 0.1.0"
  std::string runtime() const { return runtimes_.name(); }

  // Time of a changed graph of the same model, as a share of the original's: the median over runs of both in turns, so
  // that what else the machine does counts for both.
  double share(const Graph& graph) const;
  // The same of a written file, and of a model that is loaded already.
  double share(const LoadedModel& written) const;
  double share(const Runner& changed) const;
  // Seconds of the original: the median of all runs so far; 0 before the first.
  double seconds() const;

 private:
  std::unique_ptr<Runner> runner(const LoadedModel& model) const;

  const LoadedModel& original_;
  at::Device device_;
  OrtConfig config_;
  Runtimes runtimes_;
  std::vector<at::Tensor> inputs_;
  Batch batch_;
  std::unique_ptr<Runner> before_;
  mutable std::vector<double> seconds_;
};

}  // namespace pare
