// What quantize and qat share: the samples that calibrate, the codes that activations may have, and what each of them
// does to the outputs.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "commands/engine_run.hpp"
#include "compress/calibrate.hpp"
#include "compress/noise_shares.hpp"

namespace pare {

// The samples that calibrate, and where and how they run.
struct SampleRuns {
  const Dataset& samples;
  const DataOptions& data;
  std::string model;  // the file that messages name
  int64_t batch;      // samples at once, where nothing else is asked for
  uint64_t seed;      // of all that is drawn
  at::Device device;

  // Calls `see` with the inputs of each batch, in the order of Graph::inputs; at most `most` batches of `size` samples,
  // until `enough` where it is given.
  void for_each(const Graph& graph, int64_t size, int64_t most,
                const std::function<void(std::span<const at::Tensor> inputs)>& see,
                const std::function<bool()>& enough = {}) const;
  // All of them, `batch` at once.
  void for_each(const Graph& graph, const std::function<void(std::span<const at::Tensor> inputs)>& see) const;
};

// The graph with the same values as it runs: activations that are written as several nodes are one, apart from those
// that `kept` values are inside of.
Graph running_graph(const Graph& graph, const std::set<ValueId>& kept);

// Of all samples: see Calibrator::choices().
std::map<ValueId, std::vector<CodesChoice>> calibrate(const Graph& graph, const QuantPlacement& placement,
                                                      const Calibration& calibration,
                                                      const std::function<CodeForm(const QuantPlace&)>& form,
                                                      const SampleRuns& runs);

// Of the first samples, fewer where there are no codes to choose from: see NoiseShares.
std::map<ValueId, NoiseShare> measure_noise(const Graph& graph, const QuantPlacement& placement,
                                            const std::map<ValueId, std::vector<CodesChoice>>& choices,
                                            const StaticConfig& config, const std::map<ValueId, EncodedWeight>& rounded,
                                            const SampleRuns& runs);

}  // namespace pare
