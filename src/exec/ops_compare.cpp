// Comparisons, logic and selection: elementwise with broadcasting, most without a gradient.
#include <ATen/ops/eq.h>
#include <ATen/ops/ge.h>
#include <ATen/ops/gt.h>
#include <ATen/ops/isinf.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/le.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/logical_not.h>
#include <ATen/ops/logical_or.h>
#include <ATen/ops/logical_xor.h>
#include <ATen/ops/lt.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include "src/exec/ops.hpp"

namespace pare::ops {
namespace {

template <class Function>
Step binary(Function function) {
  return [function](const Call& call) { call.out[0] = function(call.in[0], call.in[1]); };
}

// One function folded over any number of inputs.
template <class Function>
Step variadic(Function function) {
  return [function](const Call& call) {
    at::Tensor result = call.in[0];
    for (size_t i = 1; i < call.in.size(); ++i) result = function(result, call.in[i]);
    call.out[0] = result;
  };
}

}  // namespace

Step equal(const Site&) {
  return binary([](const at::Tensor& a, const at::Tensor& b) { return at::eq(a, b); });
}
Step greater(const Site&) {
  return binary([](const at::Tensor& a, const at::Tensor& b) { return at::gt(a, b); });
}
Step greater_or_equal(const Site&) {
  return binary([](const at::Tensor& a, const at::Tensor& b) { return at::ge(a, b); });
}
Step less(const Site&) {
  return binary([](const at::Tensor& a, const at::Tensor& b) { return at::lt(a, b); });
}
Step less_or_equal(const Site&) {
  return binary([](const at::Tensor& a, const at::Tensor& b) { return at::le(a, b); });
}
Step logical_and(const Site&) {
  return binary([](const at::Tensor& a, const at::Tensor& b) { return at::logical_and(a, b); });
}
Step logical_xor(const Site&) {
  return binary([](const at::Tensor& a, const at::Tensor& b) { return at::logical_xor(a, b); });
}
Step is_inf(const Site& site) {
  const bool negative = site.node.integer("detect_negative", 1) != 0;
  const bool positive = site.node.integer("detect_positive", 1) != 0;
  return [=](const Call& call) {
    const at::Tensor& x = call.in[0];
    const at::Tensor infinite = at::isinf(x);
    call.out[0] = negative && positive ? infinite
                  : negative           ? infinite.logical_and(x.lt(0))
                  : positive           ? infinite.logical_and(x.gt(0))
                                       : at::zeros_like(infinite);
  };
}
Step logical_or(const Site&) {
  return binary([](const at::Tensor& a, const at::Tensor& b) { return at::logical_or(a, b); });
}
Step logical_not(const Site&) {
  return [](const Call& call) { call.out[0] = at::logical_not(call.in[0]); };
}
Step is_nan(const Site&) {
  return [](const Call& call) { call.out[0] = at::isnan(call.in[0]); };
}
Step max(const Site&) {
  return variadic([](const at::Tensor& a, const at::Tensor& b) { return at::maximum(a, b); });
}
Step min(const Site&) {
  return variadic([](const at::Tensor& a, const at::Tensor& b) { return at::minimum(a, b); });
}
Step where(const Site&) {
  return [](const Call& call) { call.out[0] = at::where(call.in[0], call.in[1], call.in[2]); };
}
// The slope broadcasts to the input, unlike ATen's, which is one a channel.
Step prelu(const Site&) {
  return binary(
      [](const at::Tensor& x, const at::Tensor& slope) { return at::where(at::lt(x, 0), at::mul(x, slope), x); });
}

}  // namespace pare::ops
