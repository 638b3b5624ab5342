// What `pare quantize` does to a float graph so that less is lost when it is rounded: --equalize, --smooth and
// --bias-correct.
#pragma once

#include <set>

#include "commands/calibration_run.hpp"
#include "commands/quantize.hpp"
#include "compress/qdq_placement.hpp"

namespace pare {

// Equalises, smooths and adds the biases that are to be corrected, as far as the options ask for it; the graph computes
// the same afterwards. Returns values that must stay float. Fills result.equalized and result.smoothed, numbers of
// places.
std::set<ValueId> balance_channels(Graph& graph, const QuantizeOptions& options, const SampleRuns& runs, Json& result);

// Changes the biases of `graph` by what `quantized`, the same with Q/DQ and float biases, computes on the samples.
// Fills result.corrected_biases: layer and the largest shift of its channels.
void correct_biases(Graph& graph, const Graph& quantized, const QuantPlacement& placement, const SampleRuns& runs,
                    Json& result);

}  // namespace pare
