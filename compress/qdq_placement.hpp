// Where quantized values lie in a graph: the places at which the exported file has QuantizeLinear and DequantizeLinear,
// and at which training simulates them. One answer for `pare quantize` and `pare qat`.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "compress/saturation.hpp"
#include "src/graph/graph.hpp"

namespace pare {

struct QuantPlace {
  enum class Kind { activation, weight };
  Kind kind = Kind::activation;
  ValueId value = no_value;   // what is quantized: a computed value, a graph input, or a constant weight
  int axis = -1;              // of the channels with a scale each; -1: one scale for the tensor
  bool non_negative = false;  // never below zero: the zero point is the lowest code
  // The value is the same numbers as another place's, moved or selected (MaxPool, Transpose, Reshape...): it has that
  // place's scale and zero point.
  ValueId same_as = no_value;
  std::string layer;   // name of the node that computes the value, or that the weight belongs to; empty for inputs
  bool outer = false;  // weight of the first or last layer, or what it reads: 8 bits by default
  ValueLimits limits;  // of an activation: beyond them its readers see no difference, so no codes are spent there
};

// A layer whose bias is stored as integers with the scale (input scale) * (weight scale).
struct QuantLayer {
  std::string name;
  ValueId input = no_value;   // activation place that it reads
  ValueId weight = no_value;  // weight place
  ValueId bias = no_value;    // constant, of the node or of the Add behind a MatMul; no_value: none
  ValueId output = no_value;  // the value behind what the runtime computes as one with the node; a place or not
};

struct QuantPlacement {
  std::vector<QuantPlace> places;  // in the order of the nodes; inputs first
  std::vector<QuantLayer> layers;  // likewise
  // Constants that are added to, or multiplied with, a quantized value: they are written as integers of the
  // activations' type, per tensor. Each has one reader.
  std::vector<ValueId> constants;

  const QuantPlace* find(ValueId value) const;
};

// Whether the node's results are numbers of its input 0 in other places or some of them: MaxPool, Reshape, Transpose...
bool moves_values(const Node& node);

// ort:      the rules of ONNX Runtime's CPU provider, measured
//   - Conv, Gemm and MatMul read quantized inputs and weights, and are followed by one place behind their
//     BatchNormalization, bias Add and Relu or Clip; a last Gemm or MatMul has none.
//   - Add, Mul, Concat, GlobalAveragePool, AveragePool, Sigmoid and LeakyRelu are quantized where everything computed
//     that they read is; operators that only move values take their input's place along.
//   - What Softmax reads is not quantized; operators without an integer kernel stay float, and so do the sums and
//     products inside of Gelu, HardSwish and the like.
//   - Weights have a scale per output channel: Conv axis 0, Gemm the output's axis, MatMul the last.
// tensorrt: from its documentation
//   - Places lie in front of Conv, ConvTranspose, Gemm and MatMul, none behind them, and in front of the input of an
//     Add that no such layer computes, so that the Add fuses with the layer that computes the other.
enum class QuantProfile { ort, tensorrt };

// `selected`: whether the weight of that name is quantized; a layer whose weight is not stays float as a whole. Layers
// with weights used by other nodes, too, stay float. The graph may hold BatchNormalization behind Conv: it counts as
// part of it, since it is folded before the file is written. Values of `floats`, and what only moves them, are not
// quantized, nor is what reads them and needs that.
QuantPlacement place_quantization(const Graph& graph, const std::function<bool(const std::string& weight)>& selected,
                                  QuantProfile profile = QuantProfile::ort, const std::set<ValueId>& floats = {});

}  // namespace pare
