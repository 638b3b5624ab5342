// A graph whose activations are rounded as those of the quantized file: what later layers are given.
#pragma once

#include <map>

#include "compress/observers.hpp"
#include "compress/qdq_placement.hpp"
#include "compress/weight_encoding.hpp"

namespace pare {

// The graph with a FakeQuant behind each activation place, with these codes (by the place's value, of all places that
// are not the same as another); weights are left as they are. Values keep their ids; the step of a place is the
// constant
// "<value>/step".
Graph simulate_activations(const Graph& graph, const QuantPlacement& placement,
                           const std::map<ValueId, ActivationCodes>& codes);

// The same with a FakeQuant behind each weight of the placement, too, with these codes' scales.
Graph simulate_quantization(const Graph& graph, const QuantPlacement& placement,
                            const std::map<ValueId, ActivationCodes>& codes,
                            const std::map<ValueId, EncodedWeight>& weights);

}  // namespace pare
