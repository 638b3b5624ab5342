// Fake quantization in a graph: nodes at the places of a placement, the form of the graph that trains, and the values
// that training found.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "compress/qdq_placement.hpp"
#include "src/graph/fake_quant.hpp"

namespace pare {

// Puts a FakeQuant behind every place: all readers of the place's value, graph outputs too, read the quantized one. A
// place that shares another's scale reads the same constants. Steps start at 1, zero points at the form's;
// `learned_zero`: whether the place's zero point is a parameter. A graph output keeps its name. Constants are named
// "<value>/step" and "<value>/zero", the nodes "<value>/quantize".
void insert_fake_quant(Graph& graph, const QuantPlacement& placement,
                       const std::function<FakeQuantForm(const QuantPlace&)>& form_of,
                       const std::function<bool(const QuantPlace&)>& learned_zero);

// The graph before fake quantization: its weights are those of the codes, and nothing is rounded.
Graph without_fake_quant(const Graph& graph);

// The fewest bits that codes of weights and of activations have; 0 where none are quantized.
struct LeastBits {
  int weights = 0;
  int activations = 0;
};
LeastBits least_bits(const Graph& graph);

// The same function of its inputs with less to do: a Relu whose only reader is a FakeQuant with the zero point at the
// lowest code is left out, and so is a FakeQuant of values that have the same scale already. Values keep their ids.
Graph training_form(const Graph& graph);

// Replaces constants of that name, where the graph has them.
void set_constants(Graph& graph, const std::map<std::string, Tensor>& tensors);

// Makes the scale of each BatchNormalization behind a convolution positive, by negating channels of the convolution
// (and its bias and the running mean): the same function, and the convolution's integer codes can be kept when the
// normalization is folded into their scales. Only where the weight's only reader is that convolution.
void make_normalization_positive(Graph& graph);

// Names of the scales of BatchNormalizations that fold_into_steps() will fold: training must keep them positive.
std::vector<std::string> folded_normalization_scales(const Graph& graph);

// Folds each BatchNormalization behind a convolution with fake-quantized weight of a step per channel into weight,
// steps and bias; the codes stay as they are. Throws (exit 1) where a scale is not positive.
void fold_into_steps(Graph& graph);

}  // namespace pare
