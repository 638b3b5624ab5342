// Products of integers: exact sums in floats that are wide enough, given out as int32 or quantized again.
#include <ATen/ops/matmul.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/reshape.h>
#include <ATen/ops/sub.h>

#include "src/exec/convolution.hpp"
#include "src/exec/quantize.hpp"
#include "src/exec/tensors.hpp"

namespace pare::ops {
namespace {

// Sums of so many products of 8-bit differences (each at most 255 x 255) are integers that the type holds exactly.
at::ScalarType exact_type(int64_t terms) {
  constexpr int64_t fp32_terms = (int64_t{1} << 24) / (255 * 255);
  return terms <= fp32_terms ? at::kFloat : at::kDouble;
}

// x - zero point, as a float. The zero point's shape broadcasts.
at::Tensor centred(const at::Tensor& x, const at::Tensor& zero_point, at::ScalarType type) {
  const at::Tensor real = x.to(type);
  return zero_point.defined() ? at::sub(real, zero_point.to(x.device(), type)) : real;
}

// One number, or one a row of a matrix: [M] stands for [M, 1].
at::Tensor of_rows(const at::Tensor& parameter) {
  return parameter.defined() && parameter.dim() == 1 && parameter.numel() > 1 ? parameter.unsqueeze(-1) : parameter;
}

// One number, or one an output channel of [O, ...] with `rank` dimensions.
at::Tensor of_channels(const at::Tensor& parameter, int64_t rank, int64_t axis) {
  if (!parameter.defined() || parameter.numel() == 1) return parameter.defined() ? parameter.reshape({}) : parameter;
  std::vector<int64_t> shape(static_cast<size_t>(rank), 1);
  shape[static_cast<size_t>(axis)] = parameter.numel();
  return at::reshape(parameter, shape);
}

at::Tensor integer_product(const at::Tensor& a, const at::Tensor& a_zero, const at::Tensor& b,
                           const at::Tensor& b_zero) {
  const at::ScalarType type = exact_type(a.dim() > 0 ? a.size(-1) : 1);
  return at::matmul(centred(a, of_rows(a_zero), type), centred(b, b_zero, type));
}

// A product of integers [..., M, N] as floats: times the scales of both operands, one number or one a row of a and one
// number or one a column of b, plus a bias [N].
at::Tensor real_product(const at::Tensor& sums, const at::Tensor& a_scale, const at::Tensor& b_scale,
                        const at::Tensor& bias) {
  const at::Tensor y = sums.to(at::kFloat).mul(of_rows(a_scale)).mul(b_scale);
  return bias.defined() ? y.add(bias) : y;
}

at::Tensor integer_convolution(const Convolution& convolution, const at::Tensor& x, const at::Tensor& x_zero,
                               const at::Tensor& w, const at::Tensor& w_zero) {
  const at::ScalarType type = exact_type(w.size(0) > 0 ? w.numel() / w.size(0) : 1);
  return convolution.run(centred(x, x_zero, type), centred(w, of_channels(w_zero, w.dim(), 0), type), {});
}

// The product in units of the result's scale, beside whose zero point it is rounded.
at::Tensor quantized_again(const at::Tensor& sums, const at::Tensor& factor, const at::Tensor& zero_point) {
  return requantize(sums, factor.numel() == 1 ? factor.reshape({}) : factor, zero_point,
                    dtype_of(zero_point.scalar_type()));
}

}  // namespace

Step mat_mul_integer(const Site&) {
  return [](const Call& call) {
    const at::Tensor y = integer_product(call.in[0], call.optional(2), call.in[1], call.optional(3));
    call.out[0] = y.to(at::kInt);
  };
}

Step conv_integer(const Site& site) {
  const Convolution convolution(site, 1);
  return [convolution](const Call& call) {
    const at::Tensor y = integer_convolution(convolution, call.in[0], call.optional(2), call.in[1], call.optional(3));
    call.out[0] = y.to(at::kInt);
  };
}

// Inputs: a, its scale, its zero point, b, its scale, its zero point, the result's scale and zero point.
Step q_linear_mat_mul(const Site&) {
  return [](const Call& call) {
    const auto scale = [&](size_t index) { return call.in[index].to(at::kFloat); };
    const at::Tensor sums = integer_product(call.in[0], call.in[2], call.in[3], call.in[5]);
    const at::Tensor factor = of_rows(scale(1)).mul(scale(4)).div(scale(6));
    call.out[0] = quantized_again(sums, factor, call.in[7]);
  };
}

// a, b, their scales, their zero points and a bias; the result is float.
Step mat_mul_integer_to_float(const Site&) {
  return [](const Call& call) {
    const at::Tensor sums = integer_product(call.in[0], call.optional(4), call.in[1], call.optional(5));
    call.out[0] = real_product(sums, call.in[2], call.in[3], call.optional(6));
  };
}

// A float operand, which is quantized as DynamicQuantizeLinear does; b, its scale, its zero point and a bias.
Step dynamic_quantize_mat_mul(const Site&) {
  return [](const Call& call) {
    const Quantized a = quantize_dynamically(call.in[0]);
    const at::Tensor sums = integer_product(a.values, a.zero_point, call.in[1], call.optional(3));
    call.out[0] = real_product(sums, a.scale, call.in[2], call.optional(4));
  };
}

// Gemm: the operands as in QLinearMatMul, then c of int32 in units of alpha * a scale * b scale. Without a scale of the
// result, it is float.
Step q_gemm(const Site& site) {
  const bool trans_a = site.node.integer("transA", 0) != 0, trans_b = site.node.integer("transB", 0) != 0;
  const float alpha = site.node.real("alpha", 1.0f);
  return [=](const Call& call) {
    const at::Tensor a = trans_a ? call.in[0].t() : call.in[0], b = trans_b ? call.in[3].t() : call.in[3];
    at::Tensor sums = integer_product(a, call.in[2], b, call.in[5]);
    if (const at::Tensor c = call.optional(6); c.defined()) sums = sums.to(at::kInt).add(c);
    const at::Tensor unit = call.in[1].to(at::kFloat).mul(call.in[4]).mul(alpha);
    if (const at::Tensor scale = call.optional(7); scale.defined())
      call.out[0] = quantized_again(sums, unit.div(scale), call.in[8]);
    else call.out[0] = sums.to(at::kFloat).mul(unit);
  };
}

// QLinearMatMul's order of inputs, then a bias of int32 in units of x scale * w scale.
Step q_linear_conv(const Site& site) {
  const Convolution convolution(site, 3);
  return [convolution](const Call& call) {
    const auto scale = [&](size_t index) { return call.in[index].to(at::kFloat); };
    at::Tensor sums = integer_convolution(convolution, call.in[0], call.in[2], call.in[3], call.in[5]);
    if (const at::Tensor bias = call.optional(8); bias.defined())
      sums = sums.to(at::kInt).add(of_channels(bias.to(sums.device()), sums.dim(), 1));
    const at::Tensor factor = of_channels(scale(4), sums.dim(), 1).mul(scale(1)).div(scale(6));
    call.out[0] = quantized_again(sums, factor, call.in[7]);
  };
}

}  // namespace pare::ops
