// The proof that a shrunken graph computes what the original does with its removed channels set to zero.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "compress/channel_shrink.hpp"
#include "src/exec/aten.hpp"

namespace pare {

struct ShrinkProof {
  // Largest difference and largest magnitude over all outputs, in float64.
  double difference = 0;
  double magnitude = 0;
  std::string output;  // where the difference is relatively largest

  static constexpr double tolerance = 1e-9;
  bool holds() const { return difference <= tolerance * magnitude; }
};

// The graph in float64: constants, and what nodes convert to.
Graph in_double(const Graph& graph);

// Runs both graphs in float64 on the inputs (in the order of Graph::inputs). An output that is not finite, or whose
// shape differs, gives an infinite difference. Each output is compared by itself; the worst is returned.
ShrinkProof prove_shrink(const Graph& masked, const Graph& shrunk, std::span<const at::Tensor> inputs);

// Inputs for a graph with known sizes when there are no samples: normal floats, integers in [0, 8), by seed.
std::vector<at::Tensor> random_inputs(const Graph& sized, uint64_t seed);

}  // namespace pare
