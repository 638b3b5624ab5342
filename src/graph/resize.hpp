// The sizes of a Resize node, read once for shape inference and execution.
#pragma once

#include "src/graph/graph.hpp"

namespace pare {

struct ResizedAxis {
  size_t axis = 0;
  size_t listed = 0;  // its place in the node's lists of scales, sizes and regions
  int64_t size = -1;  // of the output; -1 when the input's is unknown
  double scale = 1;
};

// From scales or sizes, one of which is empty, in the order of the attribute `axes` or of all axes. Throws (exit 3)
// naming the node when the lists do not fit.
std::vector<ResizedAxis> resized_axes(const Node& node, const Shape& input, const std::vector<double>& scales,
                                      const std::vector<int64_t>& sizes);

}  // namespace pare
