// Normalisations over parts of a tensor, and over an axis.
#include <ATen/ops/group_norm.h>
#include <ATen/ops/instance_norm.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/native_layer_norm.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include "src/core/error.hpp"
#include "src/exec/ops.hpp"

namespace pare::ops {
namespace {

std::optional<at::Tensor> optional_input(const Call& call, size_t index) {
  return index < call.in.size() && call.in[index].defined() ? std::optional(call.in[index]) : std::nullopt;
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
