#include "src/exec/convolution.hpp"

#include <ATen/autocast_mode.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/convolution.h>

#include "src/core/error.hpp"

namespace pare {

at::Tensor in_autocast_type(const at::Tensor& tensor) {
  const at::DeviceType device = tensor.device().type();
  if (!at::autocast::is_autocast_enabled(device)) return tensor;
  return at::autocast::cached_cast(at::autocast::get_autocast_dtype(device), tensor, device);
}

std::vector<int64_t> kernel_shape(const Site& site, size_t weight) {
  std::vector<int64_t> kernel = site.node.integers("kernel_shape", {});
  const ValueId id = site.node.input(weight);
  if (kernel.empty() && id != no_value && site.graph.value(id).shape) {
    const Shape& shape = *site.graph.value(id).shape;
    if (shape.size() > 2) kernel.assign(shape.begin() + 2, shape.end());
  }
  if (kernel.empty()) fail_input("{}: the kernel's shape is not known", site.node.label());
  return kernel;
}

// ATen lists pads from the last dimension to the first.
at::Tensor padded(const at::Tensor& x, const std::vector<int64_t>& begin, const std::vector<int64_t>& end,
                  double value) {
  std::vector<int64_t> pads;
  for (size_t i = begin.size(); i-- > 0;) {
    pads.push_back(begin[i]);
    pads.push_back(end[i]);
  }
  return at::constant_pad_nd(x, pads, value);
}

Convolution::Convolution(const Site& site, size_t weight)
    : windows_(windows_of(site.node, kernel_shape(site, weight))),
      group_(site.node.integer("group", 1)),
      packed_(site.packed(weight)) {}

at::Tensor Convolution::run(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) const {
  Windows windows = windows_;
  windows.resolve_pads(x.sizes().slice(2).vec());
  const std::vector<int64_t> none(windows.kernel.size(), 0);
  const bool symmetric = windows.symmetric();
  if (packed_ && symmetric)
    if (auto y = packed_->convolve(x, w, bias, {windows.pads_begin, windows.strides, windows.dilations, group_}))
      return *y;
  const std::optional<at::Tensor> offset = bias.defined() ? std::optional(in_autocast_type(bias)) : std::nullopt;
  const at::Tensor input = symmetric ? x : padded(x, windows.pads_begin, windows.pads_end, 0);
  return at::convolution(in_autocast_type(input), in_autocast_type(w), offset, windows.strides,
                         symmetric ? windows.pads_begin : none, windows.dilations, false, none, group_);
}

}  // namespace pare
