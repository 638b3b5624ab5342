// Cross-layer equalisation (Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction,
// 2019): where channels of a value reach the next layers through functions with f(s x) = s f(x), s > 0, the first layer
// makes channel c 1/s[c] times as large and the next ones take it s[c] times. The graph computes the same in float, and
// all channels use the codes that they share.
#pragma once

#include <map>
#include <vector>

#include "compress/affine_channels.hpp"
#include "compress/layer_channels.hpp"

namespace pare {

// What divides its results by factors, and what takes them back.
struct EqualizationSpan {
  std::optional<LayerChannels> layer;  // the first, or else:
  std::vector<AffinePart> affine;      // constants behind it, as those of a HardSwish's division by 6
  std::vector<LayerChannels> seconds;  // all that reads what is computed
  ValueId value = no_value;            // what the last of them reads, before a Flatten
  int64_t axis = 1;                    // of its channels; -1: the last
  int64_t channels = 0;

  size_t first_node() const { return layer ? layer->node : affine.front().node; }
  bool depthwise() const;  // all of the seconds are
};

// Conv, Gemm or MatMul (with its bias), or products and sums with constants -> Relu, LeakyRelu, pooling, Flatten,
// products with other values, or nothing -> Conv (grouped and depthwise too), Gemm or MatMul, in the order of the
// nodes. Weights and biases belong to one layer. Needs inferred shapes.
std::vector<EqualizationSpan> equalization_spans(const Graph& graph);

// Divides channel c of the first's results by factors[c].
void divide_outputs(Graph& graph, const EqualizationSpan& span, const std::vector<double>& factors);

// Equalises spans. Without `ranges` as in the paper, for weights with one scale: s = sqrt(r1 / r2) with the largest
// magnitudes r1 of the first layer's weight in each output channel and r2 of the next layers' in each input channel,
// round by round until nothing changes; constants stay. With `ranges`, the largest magnitude of each channel of the
// spans' values on samples, for weights with a scale a channel: these gain nothing, and of layers that add several
// inputs up they lose what the values gain; so that only spans change that depthwise convolutions read, whose weights
// are as exact at any range. There s = sqrt(range), half of the way to equal ranges: channels that are larger on other
// samples keep room. Channels of zeros stay. Returns how many spans changed.
int64_t equalize(Graph& graph, const std::vector<EqualizationSpan>& spans,
                 const std::map<ValueId, std::vector<float>>* ranges = nullptr);

}  // namespace pare
