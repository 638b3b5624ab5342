#include "src/graph/windows.hpp"

#include <algorithm>

#include "src/core/error.hpp"

namespace pare {
namespace {

std::vector<int64_t> sizes_of(const Node& node, const char* attribute, size_t count, int64_t otherwise, int64_t least) {
  auto sizes = node.integers(attribute, std::vector<int64_t>(count, otherwise));
  if (sizes.size() != count)
    fail_input("{}: {} has a wrong length (got {}, expected {})", node.label(), attribute, sizes.size(), count);
  for (const int64_t size : sizes)
    if (size < least) fail_input("{}: {} must be at least {} (got {})", node.label(), attribute, least, size);
  return sizes;
}

}  // namespace

Windows windows_of(const Node& node, const std::vector<int64_t>& kernel) {
  Windows windows;
  windows.kernel = kernel;
  windows.strides = sizes_of(node, "strides", kernel.size(), 1, 1);
  windows.dilations = sizes_of(node, "dilations", kernel.size(), 1, 1);
  windows.auto_pad = node.text("auto_pad", "NOTSET");
  windows.ceil_mode = node.integer("ceil_mode", 0) != 0;
  const auto pads = sizes_of(node, "pads", 2 * kernel.size(), 0, 0);
  const auto middle = pads.begin() + static_cast<std::ptrdiff_t>(kernel.size());
  windows.pads_begin.assign(pads.begin(), middle);
  windows.pads_end.assign(middle, pads.end());
  return windows;
}

void Windows::resolve_pads(const std::vector<int64_t>& input_sizes) {
  if (auto_pad != "SAME_UPPER" && auto_pad != "SAME_LOWER") return;
  for (size_t i = 0; i < kernel.size(); ++i) {
    const int64_t output = (input_sizes[i] + strides[i] - 1) / strides[i];
    const int64_t reach = dilations[i] * (kernel[i] - 1) + 1;
    const int64_t total = std::max<int64_t>(0, (output - 1) * strides[i] + reach - input_sizes[i]);
    const int64_t smaller = total / 2;
    pads_begin[i] = auto_pad == "SAME_UPPER" ? smaller : total - smaller;
    pads_end[i] = total - pads_begin[i];
  }
}

int64_t Windows::output_size(size_t i, int64_t input_size) const {
  if (input_size < 0) return -1;
  if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") return (input_size + strides[i] - 1) / strides[i];
  const int64_t reach = dilations[i] * (kernel[i] - 1) + 1;
  const int64_t span = input_size + pads_begin[i] + pads_end[i] - reach;
  if (span < 0) return 0;
  int64_t output = span / strides[i] + 1;
  // A last, partial window counts only when it starts inside the input or its leading pad.
  if (ceil_mode && span % strides[i] != 0 && output * strides[i] < input_size + pads_begin[i]) ++output;
  return output;
}

}  // namespace pare
