// Pooling.
#include <algorithm>
#include <limits>

#include <ATen/ops/amax.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/avg_pool1d.h>
#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/avg_pool3d.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/div.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/max_pool1d.h>
#include <ATen/ops/max_pool1d_with_indices.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/max_pool2d_with_indices.h>
#include <ATen/ops/max_pool3d.h>
#include <ATen/ops/max_pool3d_with_indices.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

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

// ATen's average over three dimensions refuses kernels that reach beyond the input, whatever the pads are.
bool is_longer(const Sizes& kernel, const Sizes& sizes) {
  for (size_t i = 0; i < kernel.size(); ++i)
    if (kernel[i] > sizes[i]) return true;
  return false;
}

bool is_dilated(const Windows& windows) {
  return std::any_of(windows.dilations.begin(), windows.dilations.end(), [](int64_t d) { return d != 1; });
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

// Averages of dilated windows, which ATen does not have, are convolutions of each channel for itself.
at::Tensor dilated_average(const at::Tensor& x, const Windows& w) {
  Sizes planes{x.size(0) * x.size(1), 1}, kernel{1, 1}, output{x.size(0), x.size(1)};
  int64_t count = 1;
  for (size_t i = 0; i < w.kernel.size(); ++i) {
    planes.push_back(x.size(static_cast<int64_t>(i) + 2));
    kernel.push_back(w.kernel[i]);
    count *= w.kernel[i];
  }
  const at::Tensor share = at::full(kernel, 1.0 / static_cast<double>(count), x.options().requires_grad(false));
  const Sizes none(w.kernel.size(), 0);
  const at::Tensor y = at::convolution(x.reshape(planes), share, {}, w.strides, none, w.dilations, false, none, 1);
  for (size_t i = 0; i < w.kernel.size(); ++i) output.push_back(y.size(static_cast<int64_t>(i) + 2));
  return y.reshape(output);
}

at::Tensor average_pool_of(const at::Tensor& x, const Windows& w, const Sizes& pads, bool count_pads) {
  if (is_dilated(w)) return dilated_average(x, w);  // never with pads
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
  return at::div(mean, share.clamp_min(1e-30));  // a window of nothing but pads gives 0
}

// The maximum's place in each window, counted within its plane; `windows` have no pads left but `pads`.
std::tuple<at::Tensor, at::Tensor> max_pool_with_places(const at::Tensor& x, const Windows& w, const Sizes& pads) {
  switch (w.kernel.size()) {
    case 1:
      return at::max_pool1d_with_indices(x, w.kernel, w.strides, pads, w.dilations);
    case 2:
      return at::max_pool2d_with_indices(x, w.kernel, w.strides, pads, w.dilations);
    default:
      return at::max_pool3d_with_indices(x, w.kernel, w.strides, pads, w.dilations);
  }
}

// Places within planes of sizes `padded` as indices into the whole unpadded tensor: row-major, or with `column_major`
// the first spatial dimension fastest.
at::Tensor flat_indices(at::Tensor places, const at::Tensor& x, const Sizes& padded, const Sizes& begin,
                        bool column_major) {
  const Sizes sizes = spatial_sizes(x);
  at::Tensor index = at::zeros_like(places);
  std::vector<at::Tensor> coordinates(sizes.size());
  for (size_t i = sizes.size(); i-- > 0;) {
    coordinates[i] = places.remainder(padded[i]).sub(begin[i]);
    places = places.div(padded[i], "floor");
  }
  int64_t plane = 1;
  for (size_t k = 0; k < sizes.size(); ++k) {
    const size_t i = column_major ? k : sizes.size() - 1 - k;
    index = index.add(coordinates[i], plane);
    plane *= sizes[i];
  }
  Sizes planes(sizes.size() + 2, 1);
  planes[0] = x.size(0);
  planes[1] = x.size(1);
  return index.add(at::arange(x.size(0) * x.size(1), places.options()).reshape(planes), plane);
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

double lowest_of(at::ScalarType type) {
  if (type == at::kByte) return 0;
  if (type == at::kChar) return std::numeric_limits<int8_t>::min();
  return -std::numeric_limits<double>::infinity();
}

}  // namespace

Step max_pool(const Site& site) {
  const Windows declared = pool_windows(site);
  const bool column_major = site.node.integer("storage_order", 0) != 0;
  const bool places = site.node.outputs.size() > 1 && site.node.outputs[1] != no_value;
  return [=](const Call& call) {
    Windows windows = declared;
    const at::Tensor& x = call.in[0];
    const Sizes sizes = spatial_sizes(x);
    windows.resolve_pads(sizes);
    complete_windows(windows, sizes);
    const bool native = native_pads(windows);
    const at::Tensor source = native ? x : padded(x, windows.pads_begin, windows.pads_end, lowest_of(x.scalar_type()));
    const Sizes none(sizes.size(), 0);
    const Sizes& pads = native ? windows.pads_begin : none;
    if (!places) {
      call.out[0] = max_pool_of(source, windows, pads);
      return;
    }
    const auto [y, within] = max_pool_with_places(source, windows, pads);
    call.out[0] = y;
    call.out[1] = flat_indices(within, x, spatial_sizes(source), native ? none : windows.pads_begin, column_major);
  };
}

Step average_pool(const Site& site) {
  const Windows declared = pool_windows(site);
  const bool count_pads = site.node.integer("count_include_pad", 0) != 0;
  return [=](const Call& call) {
    Windows resolved = declared;
    const Sizes sizes = spatial_sizes(call.in[0]);
    resolved.resolve_pads(sizes);
    Windows windows = resolved;
    complete_windows(windows, sizes);
    const bool complete = windows.pads_end == resolved.pads_end;
    if (complete && native_pads(windows) && !is_dilated(windows) && !is_longer(windows.kernel, sizes))
      call.out[0] = average_pool_of(call.in[0], windows, windows.pads_begin, count_pads);
    else call.out[0] = padded_average(call.in[0], windows, resolved, count_pads);
  };
}

// The p-norm of each window. Where it is 0 its gradient is too.
Step lp_pool(const Site& site) {
  const Windows declared = pool_windows(site);
  const auto p = static_cast<double>(site.node.integer("p", 2));
  double count = 1;
  for (const int64_t size : declared.kernel) count *= static_cast<double>(size);
  return [=](const Call& call) {
    Windows windows = declared;
    const Sizes sizes = spatial_sizes(call.in[0]);
    windows.resolve_pads(sizes);
    complete_windows(windows, sizes);
    const at::Tensor powers = padded(call.in[0].abs().pow(p), windows.pads_begin, windows.pads_end, 0);
    const at::Tensor sum = average_pool_of(powers, windows, Sizes(sizes.size(), 0), true).mul(count);
    const at::Tensor some = sum.gt(0);
    call.out[0] = at::where(some, at::where(some, sum, at::ones({}, sum.options())).pow(1 / p), sum);
  };
}

Step global_lp_pool(const Site& site) {
  const auto p = static_cast<double>(site.node.integer("p", 2));
  return [p](const Call& call) { call.out[0] = at::linalg_vector_norm(call.in[0], p, spatial_axes(call.in[0]), true); };
}

Step global_average_pool(const Site&) {
  return [](const Call& call) { call.out[0] = at::mean(call.in[0], spatial_axes(call.in[0]), true); };
}

Step global_max_pool(const Site&) {
  return [](const Call& call) { call.out[0] = at::amax(call.in[0], spatial_axes(call.in[0]), true); };
}

}  // namespace pare::ops
