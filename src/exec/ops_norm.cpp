// Normalisations over parts of a tensor, and over an axis.
#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/instance_norm.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/native_layer_norm.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include "src/core/error.hpp"
#include "src/exec/ops.hpp"

namespace pare::ops {
namespace {

std::optional<at::Tensor> optional_input(const Call& call, size_t index) {
  const at::Tensor input = call.optional(index);
  return input.defined() ? std::optional(input) : std::nullopt;
}

// In fp32 at least.
at::Tensor widened(const at::Tensor& x) { return x.element_size() < 4 ? x.to(at::kFloat) : x; }

// One over the root of the mean square along the last dimensions, which stay as 1.
at::Tensor inverse_root_mean_square(const at::Tensor& x, int64_t axis, double epsilon) {
  std::vector<int64_t> axes;
  for (int64_t i = axis < 0 ? axis + x.dim() : axis; i < x.dim(); ++i) axes.push_back(i);
  const at::Tensor real = widened(x);
  return at::rsqrt(at::mean(real.mul(real), axes, true).add(epsilon));
}

at::Tensor over_root_mean_square(const at::Tensor& x, int64_t axis, double epsilon) {
  return widened(x).mul(inverse_root_mean_square(x, axis, epsilon)).to(x.scalar_type());
}

}  // namespace

Step layer_normalization(const Site& site) {
  const int64_t declared = site.node.integer("axis", -1);
  const double epsilon = site.node.real("epsilon", 1e-5f);
  return [=](const Call& call) {
    const at::Tensor& x = call.in[0];
    const int64_t axis = declared < 0 ? declared + x.dim() : declared;
    const at::IntArrayRef shape = x.sizes().slice(static_cast<size_t>(axis));
    if (call.out.size() == 1) {
      call.out[0] = at::layer_norm(x, shape, optional_input(call, 1), optional_input(call, 2), epsilon);
      return;
    }
    const auto [y, mean, deviation] =
        at::native_layer_norm(x, shape, optional_input(call, 1), optional_input(call, 2), epsilon);
    call.out[0] = y;
    call.out[1] = mean;
    if (call.out.size() > 2) call.out[2] = deviation;
  };
}

// ONNX Runtime's name for it, SimplifiedLayerNormalization, has the factor of x as a second output.
Step rms_normalization(const Site& site) {
  const int64_t axis = site.node.integer("axis", -1);
  const double epsilon = site.node.real("epsilon", 1e-5f);
  return [=](const Call& call) {
    call.out[0] = over_root_mean_square(call.in[0], axis, epsilon).mul(call.in[1]).to(call.in[0].scalar_type());
    if (call.wants(1)) call.out[1] = inverse_root_mean_square(call.in[0], axis, epsilon);
  };
}

// Of com.microsoft: the sum of x, skip and bias, normalised over its last dimension. Output 3 is the sum.
Step skip_layer_normalization(const Site& site) {
  const double epsilon = site.node.real("epsilon", 1e-12f);
  return [=](const Call& call) {
    at::Tensor sum = call.in[0].add(call.in[1]);
    if (const at::Tensor bias = call.optional(4); bias.defined()) sum = sum.add(bias);
    const auto [y, mean, deviation] = at::native_layer_norm(sum, sum.sizes().slice(static_cast<size_t>(sum.dim() - 1)),
                                                            call.in[2], optional_input(call, 3), epsilon);
    call.out[0] = y;
    if (call.wants(1)) call.out[1] = mean;
    if (call.wants(2)) call.out[2] = deviation;
    if (call.wants(3)) call.out[3] = sum;
  };
}

// The same with the root of the mean square: x, skip, scale, bias.
Step skip_rms_normalization(const Site& site) {
  const double epsilon = site.node.real("epsilon", 1e-12f);
  return [=](const Call& call) {
    at::Tensor sum = call.in[0].add(call.in[1]);
    if (const at::Tensor bias = call.optional(3); bias.defined()) sum = sum.add(bias);
    call.out[0] = over_root_mean_square(sum, -1, epsilon).mul(call.in[2]);
    if (call.wants(3)) call.out[3] = sum;
  };
}

// Squares summed over `size` neighbouring channels.
Step local_response_normalization(const Site& site) {
  const int64_t size = site.node.integer("size", 1);
  const double alpha = site.node.real("alpha", 1e-4f), beta = site.node.real("beta", 0.75f);
  const double bias = site.node.real("bias", 1.0f);
  return [=](const Call& call) {
    const at::Tensor& x = call.in[0];
    if (x.numel() == 0) {  // ATen's pooling refuses it
      call.out[0] = x;
      return;
    }
    const at::Tensor squares = x.mul(x).reshape({x.size(0), 1, x.size(1), -1});
    const at::Tensor padded = at::constant_pad_nd(squares, {0, 0, (size - 1) / 2, size / 2});
    const at::Tensor mean = at::avg_pool2d(padded, {size, 1}, {1, 1}).reshape(x.sizes());
    call.out[0] = x.div(mean.mul(alpha).add(bias).pow(beta));
  };
}

Step group_normalization(const Site& site) {
  const int64_t groups = site.node.integer("num_groups", 1);
  const double epsilon = site.node.real("epsilon", 1e-5f);
  return [=](const Call& call) { call.out[0] = at::group_norm(call.in[0], groups, call.in[1], call.in[2], epsilon); };
}

Step instance_normalization(const Site& site) {
  const double epsilon = site.node.real("epsilon", 1e-5f);
  return [=](const Call& call) {
    call.out[0] = at::instance_norm(call.in[0], call.in[1], call.in[2], {}, {}, true, 0.0, epsilon, false);
  };
}

// x less its mean over its deviation, along the axes.
Step mean_variance_normalization(const Site& site) {
  const auto axes = site.node.integers("axes", {0, 2, 3});
  return [axes](const Call& call) {
    const at::Tensor centred = call.in[0].sub(at::mean(call.in[0], axes, true));
    const at::Tensor deviation = at::mean(centred.mul(centred), axes, true).sqrt();
    call.out[0] = centred.div(deviation.add(1e-9));
  };
}

// A vector of length zero stays zero (opset 22).
Step lp_normalization(const Site& site) {
  const int64_t axis = site.node.integer("axis", -1);
  const int64_t p = site.node.integer("p", 2);
  return [=](const Call& call) {
    const at::Tensor length = at::linalg_vector_norm(call.in[0], p, at::IntArrayRef(axis), true);
    call.out[0] = at::where(length.eq(0), at::zeros_like(call.in[0]), call.in[0].div(length));
  };
}

}  // namespace pare::ops
