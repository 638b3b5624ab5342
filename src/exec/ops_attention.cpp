// Attention and rotary positions.
#include <cmath>
#include <limits>

#include <ATen/ops/amax.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include "src/core/error.hpp"
#include "src/exec/ops.hpp"
#include "src/exec/tensors.hpp"

namespace pare::ops {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct AttentionSettings {
  bool causal;
  int64_t q_heads;  // 0 where inputs have a dimension of heads
  int64_t kv_heads;
  double scale;  // 0: 1 / sqrt(head size)
  double softcap;
  int64_t qk_output;
  int64_t left_window;  // -1: without end
  int64_t right_window;
  std::optional<at::ScalarType> softmax_type;
};

// [B, S, heads * D] -> [B, heads, S, D].
at::Tensor by_heads(const at::Tensor& x, int64_t heads) {
  return x.dim() == 4 ? x : x.reshape({x.size(0), x.size(1), heads, -1}).transpose(1, 2);
}

// 0 where `allowed`, -infinity elsewhere.
at::Tensor additive(const at::Tensor& allowed, const at::TensorOptions& options) {
  return at::where(allowed, at::zeros({}, options), at::full({}, -infinity, options));
}

// What is added to the scores [B, heads, S, T], broadcasting; undefined where every key counts for every query. A
// query's position among the keys is its index behind those of the cache: the past's length, or what is not padding
// less the queries.
at::Tensor attention_bias(const Call& call, const AttentionSettings& settings, const at::Tensor& q,
                          const at::Tensor& k) {
  const at::TensorOptions real = q.options().requires_grad(false);
  const int64_t queries = q.size(2), keys = k.size(2);
  at::Tensor bias;
  const auto add = [&](const at::Tensor& part) { bias = bias.defined() ? bias.add(part) : part; };
  if (at::Tensor mask = call.optional(3); mask.defined()) {
    const bool boolean = mask.scalar_type() == at::kBool;
    if (mask.size(-1) < keys)
      mask = at::constant_pad_nd(mask, {0, keys - mask.size(-1)}, boolean ? at::Scalar(false) : at::Scalar(-infinity));
    add(boolean ? additive(mask, real) : mask);
  }
  const at::Tensor past = call.optional(4);
  at::Tensor valid = call.optional(6);
  if (valid.defined()) valid = valid.to(q.device(), at::kLong).reshape({-1, 1, 1, 1});
  const at::TensorOptions whole = real.dtype(at::kLong);
  const at::Tensor key = at::arange(keys, whole).reshape({1, keys});
  at::Tensor position = at::arange(queries, whole).reshape({queries, 1});
  if (past.defined()) position = position.add(past.size(2));
  else if (valid.defined()) position = position.add(valid.sub(queries));
  if (settings.causal) add(additive(key.le(position), real));
  if (settings.left_window >= 0) add(additive(position.sub(key).le(settings.left_window), real));
  if (settings.right_window >= 0) add(additive(key.sub(position).le(settings.right_window), real));
  if (valid.defined()) add(additive(key.lt(valid), real));
  return bias;
}

void attend(const Call& call, const AttentionSettings& settings) {
  const bool flat = call.in[0].dim() == 3;
  const at::Tensor q = by_heads(call.in[0], settings.q_heads);
  at::Tensor k = by_heads(call.in[1], settings.kv_heads), v = by_heads(call.in[2], settings.kv_heads);
  if (const at::Tensor past = call.optional(4); past.defined()) k = at::cat({past, k}, 2);
  if (const at::Tensor past = call.optional(5); past.defined()) v = at::cat({past, v}, 2);
  if (call.wants(1)) call.out[1] = k;
  if (call.wants(2)) call.out[2] = v;
  const at::Tensor bias = attention_bias(call, settings, q, k);
  if (k.size(1) != q.size(1)) {  // groups of queries share keys
    k = at::repeat_interleave(k, q.size(1) / k.size(1), 1);
    v = at::repeat_interleave(v, q.size(1) / v.size(1), 1);
  }
  // Half of the scale on either side, as the specification has it: 16-bit products overflow later.
  const double scale = settings.scale != 0 ? settings.scale : 1.0 / std::sqrt(static_cast<double>(q.size(3)));
  const at::Tensor share = at::full({}, std::sqrt(scale), q.options().requires_grad(false));
  at::Tensor scores = at::matmul(q.mul(share), k.transpose(2, 3).mul(share));
  if (settings.softcap > 0) scores = at::tanh(scores.div(settings.softcap)).mul(settings.softcap);
  const at::Tensor biased = bias.defined() ? scores.add(bias) : scores;
  at::Tensor weights = at::softmax(biased, -1, settings.softmax_type);
  // A query that may see nothing gets nothing.
  if (bias.defined())
    weights = at::where(at::amax(bias, -1, true).eq(-infinity), at::zeros({}, weights.options()), weights);
  weights = weights.to(q.scalar_type());
  if (call.wants(3)) {
    const int64_t which = settings.qk_output;
    call.out[3] = which == 3 ? weights : which == 2 ? biased.to(q.scalar_type()) : scores;
  }
  const at::Tensor y = at::matmul(weights, v);
  call.out[0] = flat ? y.transpose(1, 2).reshape({y.size(0), y.size(2), -1}) : y;
}

}  // namespace

Step attention(const Site& site) {
  const Node& node = site.node;
  const int64_t precision = node.integer("softmax_precision", 0);
  const AttentionSettings settings{
      node.integer("is_causal", 0) != 0,
      node.integer("q_num_heads", 0),
      node.integer("kv_num_heads", 0),
      node.real("scale", 0),
      node.real("softcap", 0),
      node.integer("qk_matmul_output_mode", 0),
      node.integer("left_window_size", -1),
      node.integer("right_window_size", -1),
      precision != 0 ? std::optional(scalar_type_of(static_cast<DType>(precision))) : std::nullopt};
  return [settings](const Call& call) { attend(call, settings); };
}

// Pairs of neighbours (interleaved) or of halves turn by the angle of their position.
Step rotary_embedding(const Site& site) {
  const bool interleaved = site.node.integer("interleaved", 0) != 0;
  const int64_t declared = site.node.integer("rotary_embedding_dim", 0);
  const int64_t heads = site.node.integer("num_heads", 0);
  return [=](const Call& call) {
    const bool flat = call.in[0].dim() == 3;
    const at::Tensor x = by_heads(call.in[0], heads);  // [B, heads, S, D]
    const int64_t turned = declared != 0 ? declared : x.size(3);
    const auto angles = [&](const at::Tensor& cache) {  // [B, 1, S, D / 2]
      const at::Tensor positions = call.optional(3);
      return (positions.defined() ? at::embedding(cache, positions.to(cache.device(), at::kLong)) : cache).unsqueeze(1);
    };
    const at::Tensor cosine = angles(call.in[1]), sine = angles(call.in[2]);
    const at::Tensor part = x.narrow(3, 0, turned);
    const int64_t half = turned / 2;
    const at::Tensor a = interleaved ? part.slice(3, 0, std::nullopt, 2) : part.narrow(3, 0, half);
    const at::Tensor b = interleaved ? part.slice(3, 1, std::nullopt, 2) : part.narrow(3, half, half);
    const at::Tensor real = cosine.mul(a).sub(sine.mul(b)), imaginary = sine.mul(a).add(cosine.mul(b));
    const at::Tensor rotated =
        interleaved ? at::stack({real, imaginary}, -1).reshape(part.sizes()) : at::cat({real, imaginary}, -1);
    const at::Tensor y = at::cat({rotated, x.narrow(3, turned, x.size(3) - turned)}, -1);
    call.out[0] = flat ? y.transpose(1, 2).reshape(call.in[0].sizes()) : y;
  };
}

}  // namespace pare::ops
