#include "src/graph/resize.hpp"

#include <algorithm>
#include <cmath>

#include "src/core/error.hpp"
#include "src/graph/axes.hpp"

namespace pare {
namespace {

// With keep_aspect_ratio_policy, the sizes are bounds, and one scale holds for all axes (opset 18).
double common_scale(const std::vector<ResizedAxis>& axes, bool not_larger) {
  double scale = axes.front().scale;
  for (const ResizedAxis& axis : axes) scale = not_larger ? std::min(scale, axis.scale) : std::max(scale, axis.scale);
  return scale;
}

}  // namespace

std::vector<ResizedAxis> resized_axes(const Node& node, const Shape& input, const std::vector<double>& scales,
                                      const std::vector<int64_t>& sizes) {
  std::vector<int64_t> listed = node.integers("axes", {});
  if (listed.empty())
    for (size_t i = 0; i < input.size(); ++i) listed.push_back(static_cast<int64_t>(i));
  const size_t given = std::max(scales.size(), sizes.size());
  if (given != listed.size())
    fail_input("{}: scales or sizes do not fit the axes (got {}, expected {})", node.label(), given, listed.size());
  std::vector<ResizedAxis> axes;
  for (size_t i = 0; i < listed.size(); ++i) {
    ResizedAxis axis{axis_index(node, listed[i], input.size()), i, -1, 1};
    const int64_t size = input[axis.axis];
    axis.scale = !sizes.empty() && size > 0 ? static_cast<double>(sizes[i]) / static_cast<double>(size)
                 : scales.empty()           ? 1
                                            : scales[i];
    if (!sizes.empty()) axis.size = sizes[i];
    else if (size >= 0) axis.size = static_cast<int64_t>(std::floor(static_cast<double>(size) * axis.scale));
    axes.push_back(axis);
  }
  const std::string policy = node.text("keep_aspect_ratio_policy", "stretch");
  if (sizes.empty() || policy == "stretch" || axes.empty()) return axes;
  const double scale = common_scale(axes, policy == "not_larger");
  for (ResizedAxis& axis : axes) {
    axis.scale = scale;
    if (input[axis.axis] >= 0)
      axis.size = static_cast<int64_t>(std::floor(static_cast<double>(input[axis.axis]) * scale + 0.5));
  }
  return axes;
}

}  // namespace pare
