// Arithmetic with broadcasting, matrix products and reductions.
#include <ATen/ops/add.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/div.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/result_type.h>
#include <ATen/ops/sub.h>
#include <ATen/ops/sum.h>

#include "src/exec/ops.hpp"
#include "src/graph/axes.hpp"

namespace pare::ops {
namespace {

// The axes of a reduction: constant, computed, or all of them. nullopt: the input is returned as it is.
std::optional<std::vector<int64_t>> reduction_axes(const Call& call,
                                                   const std::optional<std::vector<int64_t>>& constant, bool noop) {
  std::vector<int64_t> axes;
  if (constant) axes = *constant;
  else if (call.in.size() > 1 && call.in[1].defined()) axes = integers_of(call.in[1]);
  if (!axes.empty()) return axes;
  if (noop) return std::nullopt;
  for (int64_t i = 0; i < call.in[0].dim(); ++i) axes.push_back(i);
  return axes;
}

template <class Function>
Step reduction(const Site& site, Function function) {
  const auto constant = site.integers(1);
  const bool keep = site.node.integer("keepdims", 1) != 0;
  const bool noop = site.node.integer("noop_with_empty_axes", 0) != 0;
  return [=](const Call& call) {
    const auto axes = reduction_axes(call, constant, noop);
    call.out[0] = axes && call.in[0].dim() > 0 ? function(call.in[0], *axes, keep) : call.in[0];
  };
}

}  // namespace

Step add(const Site&) {
  return [](const Call& call) { call.out[0] = at::add(call.in[0], call.in[1]); };
}

Step sub(const Site&) {
  return [](const Call& call) { call.out[0] = at::sub(call.in[0], call.in[1]); };
}

Step mul(const Site&) {
  return [](const Call& call) { call.out[0] = at::mul(call.in[0], call.in[1]); };
}

Step div(const Site&) {
  return [](const Call& call) {
    // ONNX divides integers with truncation; ATen's plain division makes floats of them.
    if (at::isIntegralType(call.in[0].scalar_type(), false)) call.out[0] = at::div(call.in[0], call.in[1], "trunc");
    else call.out[0] = at::div(call.in[0], call.in[1]);
  };
}

Step pow(const Site&) {
  return [](const Call& call) {
    const at::ScalarType type = call.in[0].scalar_type();
    call.out[0] = at::pow(call.in[0], call.in[1].to(at::result_type(call.in[0], call.in[1]))).to(type);
  };
}

Step matmul(const Site&) {
  return [](const Call& call) { call.out[0] = at::matmul(call.in[0], call.in[1]); };
}

Step gemm(const Site& site) {
  const bool trans_a = site.node.integer("transA", 0) != 0;
  const bool trans_b = site.node.integer("transB", 0) != 0;
  const double alpha = site.node.real("alpha", 1.0f);
  const double beta = site.node.real("beta", 1.0f);
  return [=](const Call& call) {
    const at::Tensor a = trans_a ? call.in[0].t() : call.in[0];
    const at::Tensor b = trans_b ? call.in[1].t() : call.in[1];
    if (call.in.size() > 2 && call.in[2].defined()) {
      call.out[0] = at::addmm(call.in[2], a, b, beta, alpha);
      return;
    }
    const at::Tensor product = at::mm(a, b);
    call.out[0] = alpha == 1.0 ? product : at::mul(product, alpha);
  };
}

Step reduce_mean(const Site& site) {
  return reduction(
      site, [](const at::Tensor& x, const std::vector<int64_t>& axes, bool keep) { return at::mean(x, axes, keep); });
}

Step reduce_sum(const Site& site) {
  return reduction(site, [](const at::Tensor& x, const std::vector<int64_t>& axes, bool keep) {
    return at::sum(x, axes, keep, x.scalar_type());
  });
}

}  // namespace pare::ops
