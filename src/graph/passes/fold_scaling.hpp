// Multiplications and additions of constants behind a layer become part of its weight and bias.
#pragma once

#include "src/graph/graph.hpp"

namespace pare {

// Folds Mul, Div, Add and Sub by a constant (one number, or one a channel) into the Conv, ConvTranspose, Gemm or MatMul
// that alone computes the other operand and has a float32 weight of its own; of a MatMul an addition stays where it is,
// which is its bias, and multiplications behind it are folded into both. Products with 1 and sums with 0 go away. Names
// of weights and biases stay. Constants that are reshaped are constants. Needs inferred shapes. Returns how many nodes
// went away.
int fold_scaling(Graph& graph);

}  // namespace pare
