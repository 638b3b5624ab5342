// Operators of com.microsoft on quantized values that ONNX Runtime's quantize_static writes beside QLinearConv and
// QLinearMatMul: the float operator between a dequantization of its operands and a quantization of its result.
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include "src/core/error.hpp"
#include "src/exec/ops.hpp"
#include "src/exec/quantize.hpp"
#include "src/exec/tensors.hpp"

namespace pare::ops {
namespace {

// The operand at `index`, followed by its scale and zero point, one number each.
at::Tensor real(const Call& call, size_t index) {
  return dequantize(call.in[index], call.in[index + 1].to(at::kFloat), call.optional(index + 2), {});
}

// By the scale at `index` and the zero point behind it; without one, it is 0 of the operand's type.
at::Tensor rounded(const Call& call, const at::Tensor& y, size_t index, at::ScalarType operand) {
  const at::Tensor zero = call.optional(index + 1);
  const DType type = dtype_of(zero.defined() ? zero.scalar_type() : operand);
  return quantize(y, call.in[index].to(at::kFloat), zero, type, {});
}

// `function`, a step of one operand: x, its scale and zero point; the result's scale and zero point.
Step unary(Step function) {
  return [function = std::move(function)](const Call& call) {
    const at::Tensor x = real(call, 0);
    at::Tensor y;
    function({std::span(&x, 1), std::span(&y, 1), call.training});
    call.out[0] = rounded(call, y, 3, call.in[0].scalar_type());
  };
}

at::Tensor as_float(const at::Tensor& x) { return x.to(at::kFloat); }

// The zero point at `index`, as a float; 0 where it is left out.
at::Tensor zero_at(const Call& call, size_t index) {
  const at::Tensor zero = call.optional(index);
  return zero.defined() ? as_float(zero).reshape({}) : at::zeros({}, at::TensorOptions().dtype(at::kFloat));
}

at::Tensor scale_at(const Call& call, size_t index) { return as_float(call.in[index]).reshape({}); }

// x * factor + summand, rounded to fp32 once: of codes of 8 bits the product is exact in fp64.
at::Tensor fused(const at::Tensor& x, const at::Tensor& factor, const at::Tensor& summand) {
  return x.to(at::kDouble).mul(factor.to(at::kDouble)).add(summand.to(at::kDouble)).to(at::kFloat);
}

// Values in units of the result's scale, its zero point added already.
at::Tensor saturated(const Call& call, const at::Tensor& y) {
  return requantize(y, at::ones({}, y.options()), {}, dtype_of(call.in[0].scalar_type()));
}

void refuse_channels_last(const Node& node) {
  if (node.integer("channels_last", 0) != 0) fail_input("{}: channels_last is not supported", node.label());
}

// Softmax of all dimensions from `axis` on together, as before opset 13.
Step flattening(Step function, int64_t declared) {
  return [function = std::move(function), declared](const Call& call) {
    const at::Tensor& x = call.in[0];
    const at::Tensor flat = x.flatten(declared < 0 ? declared + x.dim() : declared);
    function({std::span(&flat, 1), call.out, call.training});
    call.out[0] = call.out[0].reshape(x.sizes());
  };
}

}  // namespace

// Two operands with scale and zero point each; the result's scale and zero point. Where scales are simple fractions of
// each other many results lie in the middle between two steps: the order of the operations is that of ONNX
// Runtime (MlasQLinearAdd, with fused products), so that they are rounded to the same side.
Step q_linear_add(const Site&) {
  return [](const Call& call) {
    const at::Tensor a = scale_at(call, 1).div(scale_at(call, 6)), b = scale_at(call, 4).div(scale_at(call, 6));
    const at::Tensor fixed = zero_at(call, 7).sub(a.mul(zero_at(call, 2)).add(b.mul(zero_at(call, 5))));
    call.out[0] = saturated(call, fused(call.in[3], b, fused(call.in[0], a, fixed)));
  };
}

// The same, in the order of MlasQLinearMul.
Step q_linear_mul(const Site&) {
  return [](const Call& call) {
    const at::Tensor factor = scale_at(call, 1).mul(scale_at(call, 4)).div(scale_at(call, 6));
    const at::Tensor a = as_float(call.in[0]).sub(zero_at(call, 2)), b = as_float(call.in[3]).sub(zero_at(call, 5));
    call.out[0] = saturated(call, a.mul(b).mul(factor).add(zero_at(call, 7)));
  };
}

Step q_linear_sigmoid(const Site& site) { return unary(sigmoid(site)); }

Step q_linear_leaky_relu(const Site& site) { return unary(leaky_relu(site)); }

Step q_linear_average_pool(const Site& site) {
  refuse_channels_last(site.node);
  return unary(average_pool(site));
}

Step q_linear_global_average_pool(const Site& site) {
  refuse_channels_last(site.node);
  return unary(global_average_pool(site));
}

// The attribute `opset` is that of the Softmax that it was made from.
Step q_linear_softmax(const Site& site) {
  if (site.node.integer("opset", 13) >= 13) return unary(softmax(site));
  Node last = site.node;
  last.attributes["axis"] = int64_t{-1};
  return unary(flattening(softmax({site.graph, last}), site.node.integer("axis", 1)));
}

// The result's scale and zero point, then operands with scale and zero point each.
Step q_linear_concat(const Site& site) {
  const int64_t axis = site.node.integer("axis", 0);
  return [axis](const Call& call) {
    std::vector<at::Tensor> parts;
    for (size_t i = 2; i + 2 < call.in.size(); i += 3) parts.push_back(real(call, i));
    call.out[0] = rounded(call, at::cat(parts, axis), 0, at::kByte);
  };
}

// A condition, then two operands and the result as in QLinearAdd.
Step q_linear_where(const Site&) {
  return [](const Call& call) {
    const at::Tensor y = at::where(call.in[0], real(call, 1), real(call, 4));
    call.out[0] = rounded(call, y, 7, call.in[1].scalar_type());
  };
}

}  // namespace pare::ops
