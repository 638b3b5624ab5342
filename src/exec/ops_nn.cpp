// Convolution, batch normalisation and dropout.
#include <algorithm>

#include <ATen/ops/batch_norm.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/ones_like.h>

#include "src/exec/convolution.hpp"

namespace pare::ops {
namespace {

using Sizes = std::vector<int64_t>;

}  // namespace

Step conv(const Site& site) {
  const Convolution convolution(site, 1);
  return [convolution](const Call& call) { call.out[0] = convolution.run(call.in[0], call.in[1], call.optional(2)); };
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
        call.in.size() > 2 && call.in[2].defined() ? std::optional(in_autocast_type(call.in[2])) : std::nullopt;
    // The whole output first; pads then cut it, and where a size is asked for, they follow from it.
    at::Tensor y = at::convolution(in_autocast_type(call.in[0]), in_autocast_type(call.in[1]), bias, windows.strides,
                                   none, windows.dilations, true, none, group);
    for (size_t i = 0; i < kernel.size(); ++i) {
      const int64_t axis = static_cast<int64_t>(i) + 2;
      const int64_t size = y.size(axis) + added[i];
      int64_t begin = windows.pads_begin[i];
      int64_t target = size - begin - windows.pads_end[i];
      if (!wanted.empty() || same) {
        // Kernels shorter than the stride do not reach all of stride * size.
        target = wanted.empty() ? std::min(size, call.in[0].size(axis) * windows.strides[i]) : wanted[i];
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
    if (call.in[0].numel() == 0) {  // ATen refuses it
      call.out[0] = call.in[0];
      return;
    }
    call.out[0] =
        at::batch_norm(call.in[0], call.in[1], call.in[2], call.in[3], call.in[4], call.training, share, epsilon, true);
  };
}

// Files are inference graphs: everything is kept, and the mask says so.
Step dropout(const Site&) {
  return [](const Call& call) {
    call.out[0] = call.in[0];
    if (call.wants(1)) call.out[1] = at::ones_like(call.in[0], call.in[0].options().dtype(at::kBool));
  };
}

}  // namespace pare::ops
