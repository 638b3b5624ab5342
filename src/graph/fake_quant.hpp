// The node that simulates quantization in a graph that trains: domain "pare", operator FakeQuant. A file never has it:
// QuantizeLinear and DequantizeLinear take its place.
#pragma once

#include <string>

#include "src/graph/graph.hpp"

namespace pare {

// Inputs: the value; its step [] or [channels], float32; and where the zero point is learned, that, float32 of the same
// shape. Output: round and clamp to codes lowest..highest, times the step (kernels/fake_quant.hpp).
struct FakeQuantForm {
  int lowest = -128;
  int highest = 127;
  int zero_point = 0;  // where it is not learned
  int axis = -1;       // of the channels; -1: one step for the tensor
  // How the step is found:
  //   lsq     learned by gradient (Esser et al. 2020), with the zero point where there is one (Bhalgat et al. 2020)
  //   pact    learned from clipped values alone (Choi et al. 2018)
  //   minmax  follows the range of the values: of a weight now, of an activation averaged over the steps
  std::string quantizer = "lsq";
};

bool is_fake_quant(const Node& node);
FakeQuantForm fake_quant_of(const Node& node);

// The node `name`, from `inputs` to `output`.
Node fake_quant_node(std::string name, const FakeQuantForm& form, std::vector<ValueId> inputs, ValueId output);

}  // namespace pare
