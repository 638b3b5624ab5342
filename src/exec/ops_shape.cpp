// Operators that move or rename elements.
#include <algorithm>
#include <limits>

#include <ATen/ops/cat.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/permute.h>
#include <ATen/ops/reshape.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/squeeze.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/tril.h>
#include <ATen/ops/triu.h>
#include <ATen/ops/unsqueeze.h>

#include "src/exec/ops.hpp"
#include "src/exec/quantize.hpp"
#include "src/exec/tensors.hpp"
#include "src/graph/axes.hpp"

namespace pare::ops {
namespace {

// A list that is constant or the value of a run-time input; empty when it is left out.
std::vector<int64_t> list_at(const Call& call, size_t input, const std::optional<std::vector<int64_t>>& constant) {
  if (constant) return *constant;
  if (input < call.in.size() && call.in[input].defined()) return integers_of(call.in[input]);
  return {};
}

}  // namespace

Step identity(const Site&) {
  return [](const Call& call) { call.out[0] = call.in[0]; };
}

Step concat(const Site& site) {
  const int64_t axis = site.node.integer("axis", 0);
  return [axis](const Call& call) { call.out[0] = at::cat(at::TensorList(call.in.data(), call.in.size()), axis); };
}

Step flatten(const Site& site) {
  const int64_t declared = site.node.integer("axis", 1);
  return [declared](const Call& call) {
    const at::Tensor& x = call.in[0];
    const int64_t axis = declared < 0 ? declared + x.dim() : declared;
    int64_t rows = 1;
    for (int64_t i = 0; i < axis; ++i) rows *= x.size(i);
    int64_t columns = 1;
    for (int64_t i = axis; i < x.dim(); ++i) columns *= x.size(i);
    call.out[0] = at::reshape(x, {rows, columns});
  };
}

Step reshape(const Site& site) {
  const auto constant = site.integers(1);
  const bool allow_zero = site.node.integer("allowzero", 0) != 0;
  return [=](const Call& call) {
    std::vector<int64_t> shape = list_at(call, 1, constant);
    for (size_t i = 0; i < shape.size() && !allow_zero; ++i)
      if (shape[i] == 0) shape[i] = call.in[0].size(static_cast<int64_t>(i));
    call.out[0] = at::reshape(call.in[0], shape);
  };
}

Step transpose(const Site& site) {
  const Node& node = site.node;
  return [node](const Call& call) {
    call.out[0] = at::permute(call.in[0], permutation_of(node, static_cast<size_t>(call.in[0].dim())));
  };
}

Step squeeze(const Site& site) {
  const auto constant = site.integers(1);
  return [=](const Call& call) {
    const std::vector<int64_t> axes = list_at(call, 1, constant);
    call.out[0] = axes.empty() ? at::squeeze(call.in[0]) : at::squeeze(call.in[0], axes);
  };
}

Step unsqueeze(const Site& site) {
  const auto constant = site.integers(1);
  return [=](const Call& call) {
    std::vector<int64_t> axes = list_at(call, 1, constant);
    const int64_t rank = call.in[0].dim() + static_cast<int64_t>(axes.size());
    for (int64_t& axis : axes) axis = axis < 0 ? axis + rank : axis;
    std::sort(axes.begin(), axes.end());
    at::Tensor result = call.in[0];
    for (const int64_t axis : axes) result = at::unsqueeze(result, axis);
    call.out[0] = result;
  };
}

namespace {

// Beyond its bounds an 8-bit float saturates unless the node says no; 4-bit integers, one a byte, wrap around.
at::Tensor cast_to(const at::Tensor& x, DType type, bool saturates) {
  const at::ScalarType target = scalar_type_of(type);
  if (is_packed(type)) {
    const at::Tensor nibble = x.to(at::kInt).bitwise_and(15);
    return (type == DType::int4 ? nibble.bitwise_xor(8).sub(8) : nibble).to(target);
  }
  if (const double largest = largest_float8(type); largest > 0 && saturates && at::isFloatingType(x.scalar_type()))
    return at::clamp(x.to(at::kFloat), -largest, largest).to(target);
  return x.to(target);
}

}  // namespace

Step cast(const Site& site) {
  const auto type = static_cast<DType>(site.node.integer("to", 0));
  scalar_type_of(type);  // checks
  const bool saturates = site.node.integer("saturate", 1) != 0;
  return [=](const Call& call) { call.out[0] = cast_to(call.in[0], type, saturates); };
}

Step cast_like(const Site& site) {
  const DType declared = site.graph.value(site.node.inputs[1]).dtype;
  const bool saturates = site.node.integer("saturate", 1) != 0;
  return [=](const Call& call) {
    const DType type = is_packed(declared) ? declared : dtype_of(call.in[1].scalar_type());
    call.out[0] = cast_to(call.in[0], type, saturates);
  };
}

// Lists of sizes stay on the CPU, where the operators that read them need them.
Step shape(const Site& site) {
  const int64_t first = site.node.integer("start", 0);
  const int64_t last = site.node.integer("end", std::numeric_limits<int64_t>::max());
  return [=](const Call& call) {
    const int64_t rank = call.in[0].dim();
    const auto bound = [rank](int64_t position) {
      return std::clamp<int64_t>(position < 0 ? position + rank : position, 0, rank);
    };
    const auto sizes = call.in[0].sizes();
    const std::vector<int64_t> part(sizes.begin() + bound(first), sizes.begin() + std::max(bound(first), bound(last)));
    call.out[0] = at::tensor(part, at::TensorOptions().dtype(at::kLong));
  };
}

// A matrix of the input's shape with ones on a diagonal.
Step eye_like(const Site& site) {
  const int64_t diagonal = site.node.integer("k", 0);
  const auto wanted = static_cast<DType>(site.node.integer("dtype", 0));
  return [=](const Call& call) {
    const at::ScalarType type = wanted == DType::undefined ? call.in[0].scalar_type() : scalar_type_of(wanted);
    const at::Tensor ones = at::ones(call.in[0].sizes(), call.in[0].options().dtype(at::kFloat).requires_grad(false));
    call.out[0] = ones.triu(diagonal).tril(diagonal).to(type);
  };
}

Step size(const Site&) {
  return [](const Call& call) {
    call.out[0] = at::scalar_tensor(call.in[0].numel(), at::TensorOptions().dtype(at::kLong));
  };
}

}  // namespace pare::ops
