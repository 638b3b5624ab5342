// Learned rounding of a layer's weights: AdaRound (Nagel et al., Up or Down? Adaptive Rounding for Post-Training
// Quantization, 2020).
#pragma once

#include "compress/layer_samples.hpp"
#include "compress/weight_encoding.hpp"

namespace pare {

struct AdaroundConfig {
  int64_t steps = 1000;
  int64_t batch = 512;          // rows a step
  double learning_rate = 0.02;  // of Adam
  // Of the regularizer, against a squared error of the outputs that is 1 with nearest rounding.
  double regularization = 1;
  double warm_up = 0.2;  // share of the steps without it
  RandomKey key;
};

// Chooses for each weight the code below or above it, with the scales of `nearest`: rectified sigmoids of variables
// that Adam moves by the squared error of the layer's outputs, behind its Relu or Clip, on rows drawn at random
// (asymmetric reconstruction: inputs are those behind quantized predecessors, targets those of the float network), and
// that a regularizer 1 - |2h - 1|^beta, beta falling from 20 to 2, makes zeros and ones (equations 21 to 25); then
// single codes change sides as long as the error falls (coordinate descent). `layout` says how the values [as
// nearest.groups.shape] are matrices. Where the error on all rows is not lower than with `nearest`, gives that. Equal
// arguments give equal bytes for the same number of threads.
RoundedWeight round_adaround(const std::vector<float>& values, const WeightLayout& layout, EncodedWeight nearest,
                             const LayerSamples& samples, const AdaroundConfig& config);

// Squared error of the outputs with `weight`, over the targets' squared size.
double output_error(const EncodedWeight& weight, const WeightLayout& layout, const LayerSamples& samples);

}  // namespace pare
