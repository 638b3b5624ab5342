// Attention and embeddings as ONNX Runtime's transformer optimizer fuses them (domain com.microsoft).
#include <cmath>
#include <limits>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/native_layer_norm.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include "src/core/error.hpp"
#include "src/exec/ops.hpp"
#include "src/exec/quantize.hpp"

namespace pare::ops {
namespace {

struct Settings {
  int64_t heads;
  bool causal;
  double scale;   // 0: 1 / sqrt(head size)
  double filter;  // what is added to the score of a key that the mask takes away
};

Settings settings_of(const Node& node) {
  for (const char* unsupported : {"do_rotary", "past_present_share_buffer"})
    if (node.integer(unsupported, 0) != 0) fail_input("{}: {} is not supported", node.label(), unsupported);
  const Settings settings{node.integer("num_heads", 0), node.integer("unidirectional", 0) != 0, node.real("scale", 0),
                          node.real("mask_filter_value", -10000.0f)};
  if (settings.heads < 1) fail_input("{}: num_heads must be positive (got {})", node.label(), settings.heads);
  return settings;
}

void refuse_input(const Node& node, size_t index, const char* name) {
  if (node.input(index) != no_value) fail_input("{}: the input {} is not supported", node.label(), name);
}

// [B, S, heads * D] -> [B, heads, S, D].
at::Tensor by_heads(const at::Tensor& x, int64_t heads) {
  return x.reshape({x.size(0), x.size(1), heads, -1}).transpose(1, 2);
}

// Which keys count, broadcasting against [B, heads, S, T]. The mask is one of: ends [B]; ends, then starts [2 B]; keys
// [B, T]; keys of each query [B, S, T].
at::Tensor kept_keys(const at::Tensor& mask, int64_t batch, int64_t keys) {
  if (mask.dim() == 2) return mask.gt(0).reshape({mask.size(0), 1, 1, -1});
  if (mask.dim() == 3) return mask.gt(0).unsqueeze(1);
  if (mask.dim() != 1 || (mask.numel() != batch && mask.numel() != 2 * batch))
    fail_input("a mask of shape {} is not supported", fmt::join(mask.sizes(), "x"));
  const at::Tensor bounds = mask.reshape({-1, batch, 1, 1, 1});
  const at::Tensor key = at::arange(keys, mask.options());
  const at::Tensor before_end = key.lt(bounds[0]);
  return bounds.size(0) == 1 ? before_end : before_end.logical_and(key.ge(bounds[1]));
}

// q [B, heads, S, D], k and v [B, heads, T, D] -> [B, S, heads * D]. The last S of the T keys are the queries' own.
at::Tensor attend(const Settings& settings, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                  const at::Tensor& mask, const at::Tensor& bias) {
  const double scale = settings.scale != 0 ? settings.scale : 1.0 / std::sqrt(static_cast<double>(q.size(3)));
  at::Tensor scores = at::matmul(q, k.transpose(2, 3)).mul(scale);
  const at::TensorOptions options = scores.options().requires_grad(false);
  const auto hide = [&](const at::Tensor& kept, double value) {
    scores = scores.add(at::where(kept, at::zeros({}, options), at::full({}, value, options)));
  };
  if (mask.defined()) hide(kept_keys(mask.to(q.device()), q.size(0), k.size(2)), settings.filter);
  if (settings.causal) {
    const at::TensorOptions whole = options.dtype(at::kLong);
    const at::Tensor position = at::arange(q.size(2), whole).add(k.size(2) - q.size(2)).unsqueeze(1);
    hide(at::arange(k.size(2), whole).le(position), std::numeric_limits<float>::lowest());
  }
  if (bias.defined()) scores = scores.add(bias);
  const at::Tensor y = at::matmul(at::softmax(scores, -1), v).transpose(1, 2);
  return y.reshape({y.size(0), y.size(1), -1});
}

// From the projections of one input [B, S, sizes of q, k and v], with past keys and values [2, B, heads, P, D].
void attend_packed(const Call& call, const Settings& settings, const at::Tensor& projected, std::vector<int64_t> sizes,
                   size_t past, const at::Tensor& mask, const at::Tensor& bias) {
  if (sizes.empty()) sizes.assign(3, projected.size(2) / 3);
  const auto parts = projected.split_with_sizes(sizes, 2);
  const at::Tensor q = by_heads(parts[0], settings.heads);
  at::Tensor k = by_heads(parts[1], settings.heads), v = by_heads(parts[2], settings.heads);
  if (const at::Tensor before = call.optional(past); before.defined()) {
    k = at::cat({before[0], k}, 2);
    v = at::cat({before[1], v}, 2);
  }
  if (call.wants(1)) call.out[1] = at::stack({k, v});
  call.out[0] = attend(settings, q, k, v, mask, bias);
}

// Sums of embeddings, normalised over the last dimension.
struct Embeddings {
  at::Tensor words, positions, segments;  // [count, H]; segments may be undefined
  at::Tensor scale, bias;                 // [H]
};

// Inputs 0 and 1 are the tokens' and segments' numbers [B, S]. Outputs: the normalised sum, how many tokens of each
// sample the mask keeps (0 without one), and where it is asked for the sum.
void embed(const Call& call, const Embeddings& from, const at::Tensor& mask, const at::Tensor& places, double epsilon) {
  const at::Tensor ids = call.in[0].to(at::kLong);
  const at::Tensor order =
      places.defined() ? places.to(at::kLong) : at::arange(ids.size(1), ids.options()).unsqueeze(0);
  at::Tensor sum = at::embedding(from.words, ids).add(at::embedding(from.positions, order));
  if (const at::Tensor segment = call.optional(1); segment.defined() && from.segments.defined())
    sum = sum.add(at::embedding(from.segments, segment.to(at::kLong)));
  call.out[0] = std::get<0>(at::native_layer_norm(sum, {sum.size(2)}, from.scale, from.bias, epsilon));
  if (call.wants(1))
    call.out[1] =
        mask.defined() ? mask.eq(1).sum(1).to(at::kInt) : at::zeros({ids.size(0)}, ids.options().dtype(at::kInt));
  if (call.wants(2)) call.out[2] = sum;
}

}  // namespace

// Attention of com.microsoft: input [B, S, H], weight [H, sizes of q, k and v], bias, mask, past keys and values, bias
// of the scores.
Step packed_attention(const Site& site) {
  const Settings settings = settings_of(site.node);
  const auto sizes = site.node.integers("qkv_hidden_sizes", {});
  refuse_input(site.node, 6, "past_sequence_length");
  return [=](const Call& call) {
    at::Tensor projected = at::matmul(call.in[0], call.in[1]);
    if (const at::Tensor bias = call.optional(2); bias.defined()) projected = projected.add(bias);
    attend_packed(call, settings, projected, sizes, 4, call.optional(3), call.optional(5));
  };
}

// The same with input and weight as integers: input, weight, float bias, their scales, mask, their zero points, past
// keys and values.
Step quantized_attention(const Site& site) {
  const Settings settings = settings_of(site.node);
  return [=](const Call& call) {
    const at::Tensor x = dequantize(call.in[0], call.in[3], call.optional(6), {});
    const at::Tensor weight = dequantize(call.in[1], call.in[4], call.optional(7), {});
    attend_packed(call, settings, at::matmul(x, weight).add(call.in[2]), {}, 8, call.optional(5), {});
  };
}

// Queries [B, S, H]; keys and values [B, T, H] or [B, heads, T, D]; the bias of all three projections, a mask of keys,
// a bias of the scores, past keys and values [B, heads, P, D].
Step multi_head_attention(const Site& site) {
  const Settings settings = settings_of(site.node);
  refuse_input(site.node, 8, "past_sequence_length");
  refuse_input(site.node, 9, "cache_indirection");
  if (site.node.outputs.size() > 3) fail_input("{}: the output qk is not supported", site.node.label());
  if (site.node.input(1) == no_value || site.node.input(2) == no_value)
    fail_input("{}: packed queries, keys and values are not supported", site.node.label());
  return [=](const Call& call) {
    if (call.in[0].dim() != 3) fail_input("queries have {} dimensions (expected 3)", call.in[0].dim());
    const at::Tensor bias = call.optional(3);
    int64_t offset = 0;
    const auto projected = [&](const at::Tensor& x) {
      if (x.dim() == 4) return x;
      const at::Tensor own = bias.defined() ? x.add(bias.narrow(0, offset, x.size(2))) : x;
      offset += x.size(2);
      return by_heads(own, settings.heads);
    };
    const at::Tensor q = projected(call.in[0]);
    at::Tensor k = projected(call.in[1]), v = projected(call.in[2]);
    if (const at::Tensor past = call.optional(6); past.defined()) k = at::cat({past, k}, 2);
    if (const at::Tensor past = call.optional(7); past.defined()) v = at::cat({past, v}, 2);
    if (call.wants(1)) call.out[1] = k;
    if (call.wants(2)) call.out[2] = v;
    call.out[0] = attend(settings, q, k, v, call.optional(4), call.optional(5));
  };
}

// Tokens, segments; tables of words, positions and segments; scale and bias of the normalisation; a mask, positions.
Step embed_layer_normalization(const Site& site) {
  const double epsilon = site.node.real("epsilon", 1e-12f);
  return [epsilon](const Call& call) {
    embed(call, {call.in[2], call.in[3], call.optional(4), call.in[5], call.in[6]}, call.optional(7), call.optional(8),
          epsilon);
  };
}

// The same with integers: the tables, scale and bias at 2 to 6, a mask at 7, then the scales and the zero points of the
// five.
Step quantized_embed_layer_normalization(const Site& site) {
  const double epsilon = site.node.real("epsilon", 1e-12f);
  return [epsilon](const Call& call) {
    const auto real = [&](size_t index) {
      const at::Tensor values = call.optional(index);
      return values.defined() ? dequantize(values, call.in[index + 6], call.optional(index + 11), {}) : values;
    };
    embed(call, {real(2), real(3), real(4), real(5), real(6)}, call.optional(7), {}, epsilon);
  };
}

}  // namespace pare::ops
