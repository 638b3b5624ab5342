// Elementwise functions of one input, and softmax.
#include <limits>

#include <ATen/ops/abs.h>
#include <ATen/ops/acos.h>
#include <ATen/ops/acosh.h>
#include <ATen/ops/add.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/asin.h>
#include <ATen/ops/asinh.h>
#include <ATen/ops/atan.h>
#include <ATen/ops/atanh.h>
#include <ATen/ops/ceil.h>
#include <ATen/ops/celu.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/cosh.h>
#include <ATen/ops/elu.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/erf.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/floor.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/hardswish.h>
#include <ATen/ops/leaky_relu.h>
#include <ATen/ops/log.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mish.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/neg.h>
#include <ATen/ops/reciprocal.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/round.h>
#include <ATen/ops/scatter.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/sign.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/sinh.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/tan.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/threshold.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "src/exec/ops.hpp"

namespace pare::ops {
namespace {

template <class Function>
Step unary(Function function) {
  return [function](const Call& call) { call.out[0] = function(call.in[0]); };
}

// One function of a constant limit, or of a computed one.
std::optional<at::Scalar> constant_scalar(const Site& site, size_t input) {
  const Tensor* tensor = site.constant(input);
  if (tensor == nullptr) return std::nullopt;
  // A float limit would turn integers into floats.
  if (!is_float(tensor->dtype)) return at::Scalar(to_int64(*tensor).at(0));
  return at::Scalar(to_double(*tensor).at(0));
}

Step softmax_with(const Site& site, at::Tensor (*function)(const at::Tensor&, int64_t, std::optional<at::ScalarType>)) {
  const int64_t axis = site.node.integer("axis", -1);
  return [=](const Call& call) { call.out[0] = function(call.in[0], axis, std::nullopt); };
}

}  // namespace

// 1 at the first of the greatest elements along the axis, 0 elsewhere.
Step hardmax(const Site& site) {
  const int64_t axis = site.node.integer("axis", -1);
  return [axis](const Call& call) {
    const at::Tensor& x = call.in[0];
    call.out[0] = at::zeros_like(x).scatter(axis, at::argmax(x, axis, true), 1);
  };
}

Step relu(const Site&) {
  return unary([](const at::Tensor& x) { return at::relu(x); });
}
Step in_place(const Node& node) {
  if (!node.domain.empty()) return nullptr;
  if (node.op == "Relu")
    return [](const Call& call) {
      at::Tensor x = call.in[0];
      call.out[0] = at::relu_(x);
    };
  // Their gradients need the input.
  const bool plain = node.real("alpha", 1.0f) == 1.0f;
  if (node.op == "HardSwish" || (node.op == "Swish" && plain))
    return [hard = node.op == "HardSwish"](const Call& call) {
      at::Tensor x = call.in[0];
      const bool gradients = c10::GradMode::is_enabled();
      if (hard) call.out[0] = gradients ? at::hardswish(x) : at::hardswish_(x);
      else call.out[0] = gradients ? at::silu(x) : at::silu_(x);
    };
  return nullptr;
}
Step sigmoid(const Site&) {
  return unary([](const at::Tensor& x) { return at::sigmoid(x); });
}
Step tanh(const Site&) {
  return unary([](const at::Tensor& x) { return at::tanh(x); });
}
Step erf(const Site&) {
  return unary([](const at::Tensor& x) { return at::erf(x); });
}
Step exp(const Site&) {
  return unary([](const at::Tensor& x) { return at::exp(x); });
}
Step sqrt(const Site&) {
  // Its gradient at 0 is taken as 0, not infinity, of which a sum of squares below makes NaN: 0 is a subgradient of
  // their composition, and fake quantization makes exact zeros of small values.
  return unary([](const at::Tensor& x) {
    const bool learns = c10::GradMode::is_enabled() && x.requires_grad();
    return at::sqrt(learns ? at::where(x.eq(0), 0, x) : x);
  });
}
Step neg(const Site&) {
  return unary([](const at::Tensor& x) { return at::neg(x); });
}
Step abs(const Site&) {
  return unary([](const at::Tensor& x) { return at::abs(x); });
}
Step ceil(const Site&) {
  return unary([](const at::Tensor& x) { return at::ceil(x); });
}
Step cos(const Site&) {
  return unary([](const at::Tensor& x) { return at::cos(x); });
}
Step floor(const Site&) {
  return unary([](const at::Tensor& x) { return at::floor(x); });
}
Step log(const Site&) {
  return unary([](const at::Tensor& x) { return at::log(x); });
}
Step mish(const Site&) {
  return unary([](const at::Tensor& x) { return at::mish(x); });
}
Step reciprocal(const Site&) {
  return unary([](const at::Tensor& x) { return at::reciprocal(x); });
}
Step round(const Site&) {
  return unary([](const at::Tensor& x) { return at::round(x); });
}
Step sign(const Site&) {
  return unary([](const at::Tensor& x) { return at::sign(x); });
}
Step sin(const Site&) {
  return unary([](const at::Tensor& x) { return at::sin(x); });
}
Step hard_swish(const Site&) {
  return unary([](const at::Tensor& x) { return at::hardswish(x); });
}
Step softplus(const Site&) {
  return unary([](const at::Tensor& x) { return at::softplus(x, 1, 20); });
}

Step acos(const Site&) {
  return unary([](const at::Tensor& x) { return at::acos(x); });
}
Step acosh(const Site&) {
  return unary([](const at::Tensor& x) { return at::acosh(x); });
}
Step asin(const Site&) {
  return unary([](const at::Tensor& x) { return at::asin(x); });
}
Step asinh(const Site&) {
  return unary([](const at::Tensor& x) { return at::asinh(x); });
}
Step atan(const Site&) {
  return unary([](const at::Tensor& x) { return at::atan(x); });
}
Step atanh(const Site&) {
  return unary([](const at::Tensor& x) { return at::atanh(x); });
}
Step cosh(const Site&) {
  return unary([](const at::Tensor& x) { return at::cosh(x); });
}
Step sinh(const Site&) {
  return unary([](const at::Tensor& x) { return at::sinh(x); });
}
Step tan(const Site&) {
  return unary([](const at::Tensor& x) { return at::tan(x); });
}
Step softsign(const Site&) {
  return unary([](const at::Tensor& x) { return x.div(at::abs(x).add(1)); });
}

Step thresholded_relu(const Site& site) {
  const double alpha = site.node.real("alpha", 1.0f);
  return unary([alpha](const at::Tensor& x) { return at::threshold(x, alpha, 0); });
}

// 0 within [-lambd, lambd]; beyond it, x moved towards 0 by bias.
Step shrink(const Site& site) {
  const double bias = site.node.real("bias", 0.0f), limit = site.node.real("lambd", 0.5f);
  return unary([=](const at::Tensor& x) {
    const at::Tensor zero = at::zeros({}, x.options());
    const at::Tensor above = at::where(x.gt(limit), x.sub(bias).to(x.scalar_type()), zero);
    return at::where(x.lt(-limit), x.add(bias).to(x.scalar_type()), above);
  });
}

Step leaky_relu(const Site& site) {
  const double slope = site.node.real("alpha", 0.01f);
  return unary([slope](const at::Tensor& x) { return at::leaky_relu(x, slope); });
}

Step celu(const Site& site) {
  const double alpha = site.node.real("alpha", 1.0f);
  return unary([alpha](const at::Tensor& x) { return at::celu(x, alpha); });
}

Step selu(const Site& site) {
  const double alpha = site.node.real("alpha", 1.67326319217681884765625f);
  const double gamma = site.node.real("gamma", 1.05070102214813232421875f);
  return unary([=](const at::Tensor& x) { return at::elu(x, alpha, gamma); });
}

Step swish(const Site& site) {
  const double alpha = site.node.real("alpha", 1.0f);
  return unary(
      [alpha](const at::Tensor& x) { return alpha == 1.0 ? at::silu(x) : at::mul(x, at::sigmoid(at::mul(x, alpha))); });
}

Step elu(const Site& site) {
  const double alpha = site.node.real("alpha", 1.0f);
  return unary([alpha](const at::Tensor& x) { return at::elu(x, alpha); });
}

Step gelu(const Site& site) {
  const std::string approximate = site.node.text("approximate", "none");
  return unary([approximate](const at::Tensor& x) { return at::gelu(x, approximate); });
}

Step hard_sigmoid(const Site& site) {
  const double alpha = site.node.real("alpha", 0.2f);
  const double beta = site.node.real("beta", 0.5f);
  return unary([=](const at::Tensor& x) { return at::clamp(at::add(at::mul(x, alpha), beta), 0, 1); });
}

Step clip(const Site& site) {
  const bool computed = (site.node.input(1) != no_value && site.constant(1) == nullptr) ||
                        (site.node.input(2) != no_value && site.constant(2) == nullptr);
  if (!computed) {
    const auto least = constant_scalar(site, 1);
    const auto most = constant_scalar(site, 2);
    if (!least && !most) return unary([](const at::Tensor& x) { return x; });
    return unary([=](const at::Tensor& x) { return at::clamp(x, least, most); });
  }
  return [](const Call& call) {
    const auto limit = [&](size_t index) {
      return index < call.in.size() && call.in[index].defined() ? std::optional<at::Tensor>(call.in[index])
                                                                : std::nullopt;
    };
    call.out[0] = at::clamp(call.in[0], limit(1), limit(2));
  };
}

Step softmax(const Site& site) {
  return softmax_with(site, [](const at::Tensor& x, int64_t axis, std::optional<at::ScalarType> dtype) {
    return at::softmax(x, axis, dtype);
  });
}

Step log_softmax(const Site& site) {
  return softmax_with(site, [](const at::Tensor& x, int64_t axis, std::optional<at::ScalarType> dtype) {
    return at::log_softmax(x, axis, dtype);
  });
}

}  // namespace pare::ops
