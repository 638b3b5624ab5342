// What `pare quantize` does to a float graph so that less is lost when it is rounded: --equalize, --smooth and
// --bias-correct.
#pragma once

#include <functional>
#include <set>

#include "commands/engine_run.hpp"
#include "commands/quantize.hpp"
#include "compress/qdq_placement.hpp"

namespace pare {

// The samples that calibrate, and where they run.
struct SampleRuns {
  const QuantizeOptions& options;
  const Dataset& samples;
  at::Device device;

  // Calls `see` with the inputs of each batch, in the order of Graph::inputs; at most `most` batches of `size` samples,
  // until `enough` where it is given.
  void for_each(const Graph& graph, int64_t size, int64_t most,
                const std::function<void(std::span<const at::Tensor> inputs)>& see,
                const std::function<bool()>& enough = {}) const;
  // All of them, --batch at once.
  void for_each(const Graph& graph, const std::function<void(std::span<const at::Tensor> inputs)>& see) const;
};

// Equalises, smooths and adds the biases that are to be corrected, as far as the options ask for it; the graph computes
// the same afterwards. Returns values that must stay float. Fills result.equalized and result.smoothed, numbers of
// places.
std::set<ValueId> balance_channels(Graph& graph, const SampleRuns& runs, Json& result);

// Changes the biases of `graph` by what `quantized`, the same with Q/DQ and float biases, computes on the samples.
// Fills result.corrected_biases: layer and the largest shift of its channels.
void correct_biases(Graph& graph, const Graph& quantized, const QuantPlacement& placement, const SampleRuns& runs,
                    Json& result);

}  // namespace pare
