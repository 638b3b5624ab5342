// Arithmetic with broadcasting, matrix products and reductions.
#include <algorithm>
#include <limits>

#include <ATen/ops/add.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/amin.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/argmin.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cumprod.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/div.h>
#include <ATen/ops/flip.h>
#include <ATen/ops/fmod.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/prod.h>
#include <ATen/ops/remainder.h>
#include <ATen/ops/result_type.h>
#include <ATen/ops/sub.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tril.h>
#include <ATen/ops/triu.h>

#include "src/core/error.hpp"
#include "src/exec/ops.hpp"
#include "src/graph/axes.hpp"

namespace pare::ops {
namespace {

// The axes of a reduction: constant, computed, or all of them. nullopt: every element is reduced for itself.
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

// Integers as floats that hold those up to 2^53.
at::Tensor as_real(const at::Tensor& x) { return at::isIntegralType(x.scalar_type(), false) ? x.to(at::kDouble) : x; }

template <class Function>
Step reduction(const Site& site, Function function) {
  const auto constant = site.integers(1);
  const bool keep = site.node.integer("keepdims", 1) != 0;
  const bool noop = site.node.integer("noop_with_empty_axes", 0) != 0;
  return [=](const Call& call) {
    const at::Tensor& x = call.in[0];
    const auto axes = reduction_axes(call, constant, noop);
    // Of one element there still are a norm, a square or a logarithm.
    if (axes && x.dim() > 0) call.out[0] = function(x, *axes, keep);
    else call.out[0] = function(x.unsqueeze(-1), {x.dim()}, false);
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

Step matmul(const Site& site) {
  const Tensor* weight = site.constant(1);
  const auto packed = weight != nullptr && weight->shape.size() == 2 ? site.packed(1) : nullptr;
  return [packed](const Call& call) {
    if (packed)
      if (auto y = packed->multiply(call.in[0], call.in[1].t(), {})) {
        call.out[0] = *y;
        return;
      }
    call.out[0] = at::matmul(call.in[0], call.in[1]);
  };
}

Step gemm(const Site& site) {
  const bool trans_a = site.node.integer("transA", 0) != 0;
  const bool trans_b = site.node.integer("transB", 0) != 0;
  const double alpha = site.node.real("alpha", 1.0f);
  const double beta = site.node.real("beta", 1.0f);
  const Tensor* offset = site.constant(2);
  const bool packs =
      alpha == 1 && beta == 1 && (site.node.input(2) == no_value || (offset != nullptr && offset->shape.size() == 1));
  const auto packed = packs ? site.packed(1) : nullptr;
  return [=](const Call& call) {
    const at::Tensor a = trans_a ? call.in[0].t() : call.in[0];
    const at::Tensor b = trans_b ? call.in[1].t() : call.in[1];
    if (packed)
      if (auto y = packed->multiply(a, b.t(), call.optional(2))) {
        call.out[0] = *y;
        return;
      }
    if (call.in.size() > 2 && call.in[2].defined()) {
      call.out[0] = at::addmm(call.in[2], a, b, beta, alpha);
      return;
    }
    const at::Tensor product = at::mm(a, b);
    call.out[0] = alpha == 1.0 ? product : at::mul(product, alpha);
  };
}

Step reduce_mean(const Site& site) {
  return reduction(site, [](const at::Tensor& x, const std::vector<int64_t>& axes, bool keep) {
    return at::mean(as_real(x), axes, keep).to(x.scalar_type());
  });
}

Step reduce_sum(const Site& site) {
  return reduction(site, [](const at::Tensor& x, const std::vector<int64_t>& axes, bool keep) {
    return at::sum(x, axes, keep, x.scalar_type());
  });
}

namespace {

// The least and the greatest of an integer type.
std::pair<int64_t, int64_t> limits_of(at::ScalarType type) {
  switch (type) {
    case at::kByte:
      return {0, std::numeric_limits<uint8_t>::max()};
    case at::kChar:
      return {std::numeric_limits<int8_t>::min(), std::numeric_limits<int8_t>::max()};
    case at::kShort:
      return {std::numeric_limits<int16_t>::min(), std::numeric_limits<int16_t>::max()};
    case at::kInt:
      return {std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()};
    default:
      return {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()};
  }
}

// The extreme of no elements is the least one, or the greatest: what leaves any other operand as it is.
at::Tensor extreme_of_none(const at::Tensor& x, const std::vector<int64_t>& axes, bool keep, bool greatest) {
  const at::Tensor shape = at::sum(x.to(at::kDouble), axes, keep);
  const double infinity = std::numeric_limits<double>::infinity();
  if (at::isFloatingType(x.scalar_type()))
    return at::full_like(shape, greatest ? infinity : -infinity).to(x.scalar_type());
  if (x.scalar_type() == at::kBool) return at::full_like(shape, greatest ? 1 : 0).to(at::kBool);
  const auto [least, largest] = limits_of(x.scalar_type());
  return at::full_like(shape, greatest ? largest : least, shape.options().dtype(x.scalar_type()));
}

template <class Function>
Step extreme(const Site& site, Function function, bool greatest_of_none) {
  return reduction(site, [=](const at::Tensor& x, const std::vector<int64_t>& axes, bool keep) {
    return x.numel() == 0 ? extreme_of_none(x, axes, keep, greatest_of_none) : function(x, axes, keep);
  });
}

}  // namespace

Step reduce_max(const Site& site) {
  return extreme(
      site, [](const at::Tensor& x, const std::vector<int64_t>& axes, bool keep) { return at::amax(x, axes, keep); },
      false);
}

Step reduce_min(const Site& site) {
  return extreme(
      site, [](const at::Tensor& x, const std::vector<int64_t>& axes, bool keep) { return at::amin(x, axes, keep); },
      true);
}

Step reduce_l2(const Site& site) {
  return reduction(site, [](const at::Tensor& x, const std::vector<int64_t>& axes, bool keep) {
    return at::linalg_vector_norm(as_real(x), 2, axes, keep).to(x.scalar_type());
  });
}

Step reduce_prod(const Site& site) {
  return reduction(site, [](const at::Tensor& x, std::vector<int64_t> axes, bool keep) {
    for (int64_t& axis : axes) axis = axis < 0 ? axis + x.dim() : axis;
    std::sort(axes.rbegin(), axes.rend());
    at::Tensor result = x;
    for (const int64_t axis : axes) result = at::prod(result, axis, keep, x.scalar_type());
    return result;
  });
}

Step reduce_l1(const Site& site) {
  return reduction(site, [](const at::Tensor& x, const std::vector<int64_t>& axes, bool keep) {
    return at::sum(x.abs(), axes, keep, x.scalar_type());
  });
}

Step reduce_sum_square(const Site& site) {
  return reduction(site, [](const at::Tensor& x, const std::vector<int64_t>& axes, bool keep) {
    return at::sum(x.mul(x), axes, keep, x.scalar_type());
  });
}

Step reduce_log_sum(const Site& site) {
  return reduction(site, [](const at::Tensor& x, const std::vector<int64_t>& axes, bool keep) {
    return at::sum(as_real(x), axes, keep).log().to(x.scalar_type());
  });
}

Step reduce_log_sum_exp(const Site& site) {
  return reduction(site, [](const at::Tensor& x, const std::vector<int64_t>& axes, bool keep) {
    return at::logsumexp(as_real(x), axes, keep).to(x.scalar_type());
  });
}

Step mean(const Site&) {
  return [](const Call& call) {
    at::Tensor total = call.in[0];
    for (size_t i = 1; i < call.in.size(); ++i) total = at::add(total, call.in[i]);
    call.out[0] = total.div(static_cast<double>(call.in.size()));
  };
}

Step sum(const Site&) {
  return [](const Call& call) {
    at::Tensor total = call.in[0];
    for (size_t i = 1; i < call.in.size(); ++i) total = at::add(total, call.in[i]);
    call.out[0] = total;
  };
}

// The remainder has the divisor's sign, or with fmod the dividend's.
Step mod(const Site& site) {
  const bool fmod = site.node.integer("fmod", 0) != 0;
  return [fmod](const Call& call) {
    call.out[0] = fmod ? at::fmod(call.in[0], call.in[1]) : at::remainder(call.in[0], call.in[1]);
  };
}

namespace {

template <class Function>
Step extreme_index(const Site& site, Function function) {
  const int64_t declared = site.node.integer("axis", 0);
  const bool keep = site.node.integer("keepdims", 1) != 0;
  const bool last = site.node.integer("select_last_index", 0) != 0;
  return [=](const Call& call) {
    const at::Tensor& x = call.in[0];
    const int64_t axis = declared < 0 ? declared + x.dim() : declared;
    if (last) call.out[0] = function(at::flip(x, axis), axis, keep).neg().add(x.size(axis) - 1);
    else call.out[0] = function(x, axis, keep);
  };
}

}  // namespace

Step arg_max(const Site& site) {
  return extreme_index(site, [](const at::Tensor& x, int64_t axis, bool keep) { return at::argmax(x, axis, keep); });
}

Step arg_min(const Site& site) {
  return extreme_index(site, [](const at::Tensor& x, int64_t axis, bool keep) { return at::argmin(x, axis, keep); });
}

Step cum_sum(const Site& site) {
  const bool exclusive = site.node.integer("exclusive", 0) != 0;
  const bool reverse = site.node.integer("reverse", 0) != 0;
  return [=](const Call& call) {
    const int64_t axis = integers_of(call.in[1]).at(0);
    const at::Tensor x = reverse ? at::flip(call.in[0], axis) : call.in[0];
    at::Tensor total = at::cumsum(x, axis, x.scalar_type());
    if (exclusive) total = total.sub(x);
    call.out[0] = reverse ? at::flip(total, axis) : total;
  };
}

Step cum_prod(const Site& site) {
  const bool exclusive = site.node.integer("exclusive", 0) != 0;
  const bool reverse = site.node.integer("reverse", 0) != 0;
  return [=](const Call& call) {
    const int64_t axis = integers_of(call.in[1]).at(0);
    at::Tensor x = reverse ? at::flip(call.in[0], axis) : call.in[0];
    if (exclusive) x = at::cat({at::ones_like(x.narrow(axis, 0, 1)), x.narrow(axis, 0, x.size(axis) - 1)}, axis);
    const at::Tensor product = at::cumprod(x, axis, x.scalar_type());
    call.out[0] = reverse ? at::flip(product, axis) : product;
  };
}

Step trilu(const Site& site) {
  const bool upper = site.node.integer("upper", 1) != 0;
  return [upper](const Call& call) {
    const int64_t diagonal = call.in.size() > 1 && call.in[1].defined() ? integers_of(call.in[1]).at(0) : 0;
    call.out[0] = upper ? at::triu(call.in[0], diagonal) : at::tril(call.in[0], diagonal);
  };
}

}  // namespace pare::ops
