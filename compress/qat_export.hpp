// Between fake quantization and what a file holds: QuantizeLinear, DequantizeLinear and integer weights.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "src/core/json.hpp"
#include "src/graph/graph.hpp"

namespace pare {

struct ExportConfig {
  // Weights of at most 4 bits are stored as INT4; otherwise as int8, which runtimes fuse.
  bool int4 = false;
};

struct ExportedGraph {
  Graph graph;
  // For metadata `pare.quantized`: the codes of each weight, by the name of its tensor: {"conv1.weight": [-8, 7]}.
  Json grids;
};

// Every FakeQuant becomes QuantizeLinear -> (Clip, where the codes are not all of the type's) -> DequantizeLinear, and
// on a constant the codes behind a DequantizeLinear. Biases of quantized layers become int32 with the scale (input
// step) * (weight step). Names: codes have the weight's name, so that masks still mean them; the quantized value keeps
// its own. BatchNormalizations must be folded (fold_into_steps). Throws (exit 1) where a step is not positive and
// finite.
ExportedGraph lower_fake_quant(const Graph& graph, const ExportConfig& config);

// The way back: what lower_fake_quant() wrote, or another tool, as FakeQuant with the same codes, steps and zero
// points. `grids`: metadata `pare.quantized`, or null. QuantizeLinear and DequantizeLinear that are not such a pair
// stay; the graph comes back unchanged where there is none. Zero points other than a grid's lowest code, 0 of a weight,
// become parameters.
Graph raise_fake_quant(const Graph& graph, const Json& grids);

}  // namespace pare
