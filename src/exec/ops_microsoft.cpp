// Operators of the domain com.microsoft that ONNX Runtime's tools write.
#include <ATen/ops/bitwise_and.h>
#include <ATen/ops/bitwise_right_shift.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/movedim.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/stack.h>

#include "src/core/error.hpp"
#include "src/exec/ops.hpp"
#include "src/exec/tensors.hpp"

namespace pare::ops {
namespace {

// Bytes [..., n] of small integers, the lowest bits first, as one integer a byte [..., n * 8 / bits].
at::Tensor unpacked(const at::Tensor& bytes, int64_t bits) {
  if (bits == 8) return bytes;
  std::vector<at::Tensor> parts;
  for (int64_t shift = 0; shift < 8; shift += bits)
    parts.push_back(bytes.bitwise_right_shift(shift).bitwise_and((1 << bits) - 1));
  return at::stack(parts, -1).flatten(-2);
}

struct BlockedWeight {
  int64_t k, n, bits, block;
};

// The float weight [N, K] of bytes [N, blocks, bytes a block], scales [N * blocks] and zero points: packed bytes, rows
// padded to whole ones; or in the scales' type; or undefined for the middle of the range.
at::Tensor weight_of(const at::Tensor& bytes, const at::Tensor& scales, const at::Tensor& zero_points,
                     const BlockedWeight& form) {
  const int64_t blocks = (form.k + form.block - 1) / form.block;
  const at::ScalarType type = scales.scalar_type();
  const at::Tensor values = unpacked(bytes.reshape({form.n, blocks, -1}), form.bits).to(type);
  at::Tensor centred;
  if (!zero_points.defined()) centred = values.sub(static_cast<double>(1 << (form.bits - 1)));
  else if (zero_points.scalar_type() == type) centred = values.sub(zero_points.reshape({form.n, blocks, 1}));
  else {
    const at::Tensor zeros = unpacked(zero_points.reshape({form.n, -1}), form.bits).narrow(1, 0, blocks);
    centred = values.sub(zeros.reshape({form.n, blocks, 1}).to(type));
  }
  return at::mul(centred, scales.reshape({form.n, blocks, 1})).reshape({form.n, -1}).narrow(1, 0, form.k);
}

}  // namespace

// x [..., K] times a weight quantized in blocks along K. A constant weight is dequantized once.
Step mat_mul_n_bits(const Site& site) {
  const Node& node = site.node;
  const BlockedWeight form{node.integer("K", 0), node.integer("N", 0), node.integer("bits", 4),
                           node.integer("block_size", 32)};
  if (form.bits != 2 && form.bits != 4 && form.bits != 8)
    fail_input("{}: bits is {} (expected 2, 4 or 8)", node.label(), form.bits);
  if (form.k < 1 || form.n < 1 || form.block < 1) fail_input("{}: K, N and block_size must be positive", node.label());
  if (node.input(4) != no_value) fail_input("{}: an order of groups (g_idx) is not supported", node.label());
  at::Tensor constant;
  const bool has_zeros = node.input(3) != no_value;
  if (site.constant(1) != nullptr && site.constant(2) != nullptr && (!has_zeros || site.constant(3) != nullptr))
    constant = weight_of(to_aten(*site.constant(1)), to_aten(*site.constant(2)),
                         has_zeros ? to_aten(*site.constant(3)) : at::Tensor(), form);
  return [=](const Call& call) {
    const at::Tensor& x = call.in[0];
    const at::Tensor w = constant.defined() ? constant : weight_of(call.in[1], call.in[2], call.optional(3), form);
    const at::Tensor y = at::matmul(x, w.t().to(x.device(), x.scalar_type()));
    const at::Tensor bias = call.optional(5);
    call.out[0] = bias.defined() ? y.add(bias) : y;
  };
}

// Gelu(x + bias); the bias may be left out in FastGelu.
Step bias_gelu(const Site& site) {
  const std::string form = site.node.op == "FastGelu" ? "tanh" : "none";
  return [form](const Call& call) {
    const at::Tensor bias = call.optional(1);
    call.out[0] = at::gelu(bias.defined() ? call.in[0].add(bias) : call.in[0], form);
  };
}

Step quick_gelu(const Site& site) {
  const double alpha = site.node.real("alpha", 1.702f);
  return [alpha](const Call& call) { call.out[0] = at::mul(call.in[0], at::sigmoid(at::mul(call.in[0], alpha))); };
}

// MatMul times alpha of operands whose last two dimensions may be exchanged, after the first one went behind the batch.
Step fused_mat_mul(const Site& site) {
  struct Operand {
    bool moved, transposed;
  };
  const auto asked = [&](const char* attribute) { return site.node.integer(attribute, 0) != 0; };
  const Operand operands[] = {{asked("transBatchA"), asked("transA")}, {asked("transBatchB"), asked("transB")}};
  const double alpha = site.node.real("alpha", 1.0f);
  return [=](const Call& call) {
    const auto operand = [&](size_t index) {
      const at::Tensor& x = call.in[index];
      if (x.dim() < 2) return x;
      const at::Tensor batched = operands[index].moved ? x.movedim(0, -2) : x;
      return operands[index].transposed ? batched.transpose(-1, -2) : batched;
    };
    call.out[0] = at::matmul(operand(0), operand(1)).mul(alpha);
  };
}

}  // namespace pare::ops
