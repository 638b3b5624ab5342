// The graph with which quantization-aware training begins: fake quantization everywhere, with the steps of a
// post-training quantization.
#pragma once

#include <functional>
#include <map>

#include "compress/observers.hpp"
#include "compress/qat_graph.hpp"

namespace pare {

struct QatGrids {
  int activation_bits = 8;  // 0: activations stay float
  // Codes of activations are unsigned (uint8), else signed with a zero point.
  bool unsigned_activations = true;
  int outer_bits = 8;  // of the first and last layer; 0: as the others
  // Bits of a weight, by its name, its node's, and whether the layer is the first or last.
  std::function<int(const std::string& weight, const std::string& node, bool outer)> weight_bits;
  std::string quantizer = "lsq";  // as in FakeQuantForm
};

// What the activations' ranges ask of their codes, for the calibration.
CodeForm code_form_of(const QuantPlace& place, const QatGrids& grids);

// Puts FakeQuant into `graph` at the placement's places (weights alone where activations stay float). Weights get the
// steps of least squared error, activations the scales and zero points of `codes`, which has every activation that is
// not the same as another.
void start_fake_quant(Graph& graph, QuantPlacement placement, const QatGrids& grids,
                      const std::map<ValueId, ActivationCodes>& codes);

}  // namespace pare
