// SmoothQuant (Xiao et al., Accurate and Efficient Post-Training Quantization for Large Language Models, 2022):
// channels of a value that matrix products read are divided by s[c] = max|x[c]|^a / max|W[c]|^(1-a), and the products'
// weights multiplied by it. The graph computes the same in float, and the value's channels use the codes that they
// share.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "compress/equalize.hpp"

namespace pare {

// A value with the Gemm and MatMul layers that read it.
struct SmoothSite {
  // Where the division goes:
  //   folded   into the layer or the constants (LayerNormalization, Mul and Add) that compute the value
  //   copy     into a copy of these functions that only these layers read: others read the value, too
  //   product  into a Mul in front of the layers
  enum class Place { folded, copy, product };
  ValueId value = no_value;
  std::vector<LayerChannels> layers;
  Place place = Place::product;
  std::optional<EqualizationSpan> first;  // none of Place::product
};

// In the order of the nodes. Values whose other readers would see the division, and that no affine function computes,
// are left out.
std::vector<SmoothSite> smooth_sites(const Graph& graph);

struct Smoothed {
  int64_t sites = 0;
  // Values that must not be quantized, so that the division comes before the rounding: what an inserted Mul reads, up
  // to where it is computed.
  std::set<ValueId> floats;
};

// Changes the graph at all sites. `absmax`: the largest magnitudes of each channel of the sites' values on samples;
// `share`: a, from 0 (all of the range stays in the values) to 1 (it moves into the weights). Channels of zeros stay.
Smoothed smooth(Graph& graph, const std::vector<SmoothSite>& sites, const std::map<ValueId, std::vector<float>>& absmax,
                double share);

}  // namespace pare
