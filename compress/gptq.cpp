#include "compress/gptq.hpp"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/argsort.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/matmul.h>

#include "kernels/compensated_rounding.hpp"

namespace pare {
namespace {

// [groups, K, outputs] of elements in the weight's own order.
at::Tensor inputs_first(const at::Tensor& elements, const WeightLayout& layout) {
  const auto& [outer, length, inner] = layout.view;
  return elements.view({layout.groups, outer / layout.groups, length, inner})
      .permute({0, 2, 1, 3})
      .reshape({layout.groups, length, layout.outputs()});
}

at::Tensor in_place_order(const at::Tensor& matrices, const WeightLayout& layout) {
  const auto& [outer, length, inner] = layout.view;
  return matrices.view({layout.groups, length, outer / layout.groups, inner}).permute({0, 2, 1, 3}).contiguous();
}

at::Tensor tensor_of(std::vector<float>& values) {
  return at::from_blob(values.data(), {static_cast<int64_t>(values.size())}, at::kFloat);
}

// sum over the outputs of d^T H d, for each group's d [K, outputs].
double energy(const at::Tensor& matrices, const std::vector<RoundingOrder>& orders) {
  double total = 0;
  for (int64_t g = 0; g < matrices.size(0); ++g)
    total += at::matmul(orders[static_cast<size_t>(g)].hessian, matrices[g])
                 .mul_(matrices[g])
                 .sum(at::kDouble)
                 .item<double>();
  return total;
}

// Codes [K, outputs] (uint8) of weights [K, outputs] with a scale for each element.
at::Tensor round_matrix(const at::Tensor& matrix, const at::Tensor& scale, const RoundingOrder& order,
                        kernels::CodeRange range) {
  const at::Tensor weights = matrix.index_select(0, order.inputs);
  const at::Tensor scales = scale.index_select(0, order.inputs);
  const at::Tensor factor = order.factor.upper.contiguous();
  const int64_t inputs = weights.size(0), outputs = weights.size(1);
  const at::Tensor codes = at::empty({inputs, outputs}, at::kByte);
  for (int64_t begin = 0; begin < inputs; begin += kernels::compensated_rows) {
    const int64_t end = std::min(begin + kernels::compensated_rows, inputs);
    const at::Tensor errors = at::empty({end - begin, outputs}, at::kFloat);
    kernels::round_compensated(weights[begin].const_data_ptr<float>(), scales[begin].const_data_ptr<float>(),
                               factor[begin].const_data_ptr<float>() + begin, inputs, end - begin, outputs, range,
                               codes[begin].mutable_data_ptr<uint8_t>(), errors.mutable_data_ptr<float>());
    if (end < inputs) weights.slice(0, end).addmm_(factor.slice(0, begin, end).slice(1, end).t(), errors, 1, -1);
  }
  const at::Tensor in_order = at::empty_like(codes);
  in_order.index_copy_(0, order.inputs, codes);
  return in_order;
}

}  // namespace

std::vector<RoundingOrder> rounding_orders(const Hessian& hessian, double damping) {
  std::vector<RoundingOrder> orders;
  for (int64_t g = 0; g < hessian.groups(); ++g) {
    const at::Tensor matrix = hessian.matrix(g).to(at::kCPU);
    // Stable: equal inputs keep their places, on every machine.
    const at::Tensor inputs = at::argsort(matrix.diagonal(), true, 0, true);
    orders.push_back({matrix, inputs, inverse_factor(matrix.index_select(0, inputs).index_select(1, inputs), damping)});
  }
  return orders;
}

RoundedWeight round_gptq(const std::vector<float>& values, const WeightLayout& layout, EncodedWeight nearest,
                         const std::vector<RoundingOrder>& orders) {
  const c10::AutoGradMode no_grad(false);
  std::vector<float> elements = values, steps = nearest.element_scales(), decoded = nearest.decoded();
  const at::Tensor matrices = inputs_first(tensor_of(elements), layout);
  const at::Tensor scales = inputs_first(tensor_of(steps), layout);
  const at::Tensor codes = at::empty(matrices.sizes(), at::kByte);
  for (int64_t g = 0; g < layout.groups; ++g)
    codes[g].copy_(round_matrix(matrices[g], scales[g], orders[static_cast<size_t>(g)], nearest.range));
  const at::Tensor rounded = codes.view(at::kChar).to(at::kFloat).mul_(scales);
  const double size = std::max(energy(matrices, orders), 1e-300);
  RoundedWeight result{std::move(nearest), OutputErrors{}};
  result.errors->nearest = energy(inputs_first(tensor_of(decoded), layout) - matrices, orders) / size;
  result.errors->rounded = energy(rounded - matrices, orders) / size;
  if (!(result.errors->rounded < result.errors->nearest)) {
    result.errors->rounded = result.errors->nearest;
    result.errors->kept_nearest = true;
    return result;
  }
  const at::Tensor ordered = in_place_order(codes, layout);
  const auto* bytes = ordered.const_data_ptr<uint8_t>();
  result.encoded.codes.assign(bytes, bytes + ordered.numel());
  return result;
}

}  // namespace pare
