// Convolution, normalisation and pooling.
#include <algorithm>
#include <limits>

#include <ATen/ops/amax.h>
#include <ATen/ops/avg_pool1d.h>
#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/avg_pool3d.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/div.h>
#include <ATen/ops/max_pool1d.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/max_pool3d.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/ones.h>

#include "src/core/error.hpp"
#include "src/exec/convolution.hpp"

namespace pare::ops {
namespace {

using Sizes = std::vector<int64_t>;

Sizes spatial_sizes(const at::Tensor& x) { return x.sizes().slice(2).vec(); }

// Pads so that a pooling window in ceil mode is complete: what ATen's own ceil mode counts differs for averages.
void complete_windows(Windows& windows, const Sizes& sizes) {
  if (!windows.ceil_mode) return;
  for (size_t i = 0; i < sizes.size(); ++i) {
    const int64_t reach = windows.dilations[i] * (windows.kernel[i] - 1) + 1;
    const int64_t needed = (windows.output_size(i, sizes[i]) - 1) * windows.strides[i] + reach;
    windows.pads_end[i] = std::max(windows.pads_end[i], needed - sizes[i] - windows.pads_begin[i]);
  }
  windows.ceil_mode = false;
}

// ATen's pooling takes symmetric pads of at most half the kernel.
bool native_pads(const Windows& windows) {
  if (!windows.symmetric() || windows.ceil_mode) return false;
  for (size_t i = 0; i < windows.kernel.size(); ++i)
    if (2 * windows.pads_begin[i] > windows.kernel[i]) return false;
  return true;
}

at::Tensor max_pool_of(const at::Tensor& x, const Windows& w, const Sizes& pads) {
  switch (w.kernel.size()) {
    case 1:
      return at::max_pool1d(x, w.kernel, w.strides, pads, w.dilations);
    case 2:
      return at::max_pool2d(x, w.kernel, w.strides, pads, w.dilations);
    default:
      return at::max_pool3d(x, w.kernel, w.strides, pads, w.dilations);
  }
}

at::Tensor average_pool_of(const at::Tensor& x, const Windows& w, const Sizes& pads, bool count_pads) {
  switch (w.kernel.size()) {
    case 1:
      return at::avg_pool1d(x, w.kernel, w.strides, pads, false, count_pads);
    case 2:
      return at::avg_pool2d(x, w.kernel, w.strides, pads, false, count_pads);
    default:
      return at::avg_pool3d(x, w.kernel, w.strides, pads, false, count_pads);
  }
}

// The average over the elements that count: sums over the padded input and over a padded plane of ones.
at::Tensor padded_average(const at::Tensor& x, const Windows& windows, const Windows& declared, bool count_pads) {
  const Sizes none(windows.kernel.size(), 0);
  Sizes plane{1, 1};
  for (const int64_t size : spatial_sizes(x)) plane.push_back(size);
  at::Tensor counted = at::ones(plane, x.options().requires_grad(false));
  // Pads that the node declares count when asked; those that only complete a window in ceil mode never do.
  if (count_pads) counted = padded(counted, declared.pads_begin, declared.pads_end, 1);
  Sizes begin = windows.pads_begin;
  Sizes end = windows.pads_end;
  for (size_t i = 0; count_pads && i < begin.size(); ++i) {
    begin[i] -= declared.pads_begin[i];
    end[i] -= declared.pads_end[i];
  }
  const at::Tensor share = average_pool_of(padded(counted, begin, end, 0), windows, none, true);
  const at::Tensor mean = average_pool_of(padded(x, windows.pads_begin, windows.pads_end, 0), windows, none, true);
  return at::div(mean, share);
}

Windows pool_windows(const Site& site) {
  const Windows windows = windows_of(site.node, site.node.integers("kernel_shape", {}));
  if (windows.kernel.empty() || windows.kernel.size() > 3)
    fail_input("{}: pooling over {} dimensions is not supported (expected 1 to 3)", site.node.label(),
               windows.kernel.size());
  return windows;
}

Sizes spatial_axes(const at::Tensor& x) {
  Sizes axes;
  for (int64_t i = 2; i < x.dim(); ++i) axes.push_back(i);
  return axes;
}

}  // namespace

Step conv(const Site& site) {
  const Convolution convolution(site, 1);
  return [convolution](const Call& call) {
    call.out[0] = convolution.run(call.in[0], call.in[1], call.in.size() > 2 ? call.in[2] : at::Tensor());
  };
}

Step conv_transpose(const Site& site) {
  const Sizes kernel = kernel_shape(site, 1);
  const Windows windows = windows_of(site.node, kernel);
  const Sizes added = site.node.integers("output_padding", Sizes(kernel.size(), 0));
  const Sizes wanted = site.node.integers("output_shape", {});
  const int64_t group = site.node.integer("group", 1);
  const bool same = windows.auto_pad == "SAME_UPPER" || windows.auto_pad == "SAME_LOWER";
  const Sizes none(kernel.size(), 0);
  return [=](const Call& call) {
    const std::optional<at::Tensor> bias =
        call.in.size() > 2 && call.in[2].defined() ? std::optional(call.in[2]) : std::nullopt;
    // The whole output first; pads then cut it, and where a size is asked for, they follow from it.
    at::Tensor y =
        at::convolution(call.in[0], call.in[1], bias, windows.strides, none, windows.dilations, true, none, group);
    for (size_t i = 0; i < kernel.size(); ++i) {
      const int64_t axis = static_cast<int64_t>(i) + 2;
      const int64_t size = y.size(axis) + added[i];
      int64_t begin = windows.pads_begin[i];
      int64_t target = size - begin - windows.pads_end[i];
      if (!wanted.empty() || same) {
        target = wanted.empty() ? call.in[0].size(axis) * windows.strides[i] : wanted[i];
        const int64_t total = size - target;
        const int64_t half = total >= 0 ? total / 2 : -((1 - total) / 2);  // rounded down
        begin = windows.auto_pad == "SAME_UPPER" ? half : total - half;
      }
      // Cutting less than nothing is adding zeros: an output larger than what the input reaches.
      Sizes cut(static_cast<size_t>(2 * (y.dim() - axis)), 0);
      cut[cut.size() - 2] = -begin;
      cut[cut.size() - 1] = target - (y.size(axis) - begin);
      y = at::constant_pad_nd(y, cut, 0);
    }
    call.out[0] = y;
  };
}

Step batch_normalization(const Site& site) {
  const double epsilon = site.node.real("epsilon", 1e-5f);
  // ONNX: running = running * momentum + batch * (1 - momentum); ATen's momentum is the batch's share.
  const double share = 1.0 - site.node.real("momentum", 0.9f);
  return [=](const Call& call) {
    call.out[0] =
        at::batch_norm(call.in[0], call.in[1], call.in[2], call.in[3], call.in[4], call.training, share, epsilon, true);
  };
}

Step dropout(const Site& site) {
  if (site.node.outputs.size() > 1 && site.node.outputs[1] != no_value)
    fail_input("{}: the mask output is not supported", site.node.label());
  return [](const Call& call) { call.out[0] = call.in[0]; };
}

Step max_pool(const Site& site) {
  if (site.node.outputs.size() > 1 && site.node.outputs[1] != no_value)
    fail_input("{}: the indices output is not supported", site.node.label());
  const Windows declared = pool_windows(site);
  return [=](const Call& call) {
    Windows windows = declared;
    const Sizes sizes = spatial_sizes(call.in[0]);
    windows.resolve_pads(sizes);
    complete_windows(windows, sizes);
    if (native_pads(windows)) {
      call.out[0] = max_pool_of(call.in[0], windows, windows.pads_begin);
      return;
    }
    const double lowest = -std::numeric_limits<double>::infinity();
    call.out[0] =
        max_pool_of(padded(call.in[0], windows.pads_begin, windows.pads_end, lowest), windows, Sizes(sizes.size(), 0));
  };
}

Step average_pool(const Site& site) {
  const Windows declared = pool_windows(site);
  for (const int64_t dilation : declared.dilations)
    if (dilation != 1) fail_input("{}: dilations are not supported", site.node.label());
  const bool count_pads = site.node.integer("count_include_pad", 0) != 0;
  return [=](const Call& call) {
    Windows resolved = declared;
    const Sizes sizes = spatial_sizes(call.in[0]);
    resolved.resolve_pads(sizes);
    Windows windows = resolved;
    complete_windows(windows, sizes);
    const bool complete = windows.pads_end == resolved.pads_end;
    if (complete && native_pads(windows))
      call.out[0] = average_pool_of(call.in[0], windows, windows.pads_begin, count_pads);
    else call.out[0] = padded_average(call.in[0], windows, resolved, count_pads);
  };
}

Step global_average_pool(const Site&) {
  return [](const Call& call) { call.out[0] = at::mean(call.in[0], spatial_axes(call.in[0]), true); };
}

Step global_max_pool(const Site&) {
  return [](const Call& call) { call.out[0] = at::amax(call.in[0], spatial_axes(call.in[0]), true); };
}

}  // namespace pare::ops
