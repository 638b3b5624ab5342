#include "src/exec/quantize.hpp"

#include <limits>

#include <ATen/ops/add.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/div.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/max.h>
#include <ATen/ops/min.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/reshape.h>
#include <ATen/ops/round.h>
#include <ATen/ops/sub.h>
#include <ATen/ops/where.h>
#include <c10/util/Exception.h>

#include "kernels/quantize.hpp"
#include "src/core/error.hpp"
#include "src/exec/tensors.hpp"

namespace pare {
namespace {

std::optional<kernels::IntegerType> kernel_type(DType type) {
  switch (type) {
    case DType::int8:
      return kernels::IntegerType::int8;
    case DType::uint8:
      return kernels::IntegerType::uint8;
    case DType::int4:
      return kernels::IntegerType::int4;
    case DType::uint4:
      return kernels::IntegerType::uint4;
    default:
      return std::nullopt;
  }
}

// What a quantized type can hold.
std::pair<double, double> limits_of(DType type) {
  switch (type) {
    case DType::int16:
      return {-32768, 32767};
    case DType::uint16:
      return {0, 65535};
    case DType::int32:
      return {std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()};
    default:
      if (const double largest = largest_float8(type); largest > 0) return {-largest, largest};
      if (const auto kernel = kernel_type(type))
        return {kernels::lowest_integer(*kernel), kernels::highest_integer(*kernel)};
      fail_input("element type {} cannot be quantized to", dtype_name(type));
  }
}

int64_t product(at::IntArrayRef sizes) {
  int64_t result = 1;
  for (const int64_t size : sizes) result *= size;
  return result;
}

// The axis of x that scales vary along. A vector has one axis, whatever the node says.
int64_t axis_of(const at::Tensor& x, const ScaleAxis& along) {
  const int64_t axis = along.axis < 0 ? along.axis + x.dim() : along.axis;
  if (x.dim() == 1) return 0;
  TORCH_CHECK(axis >= 0 && axis < x.dim(), "axis ", along.axis, " is out of range for ", x.dim(), " dimensions");
  return axis;
}

kernels::ScaleLayout layout_of(const at::Tensor& x, const at::Tensor& scale, const ScaleAxis& along) {
  if (scale.numel() == 1 && along.block == 0) return {{1, x.numel(), 1}, std::max<int64_t>(1, x.numel())};
  const auto axis = static_cast<size_t>(axis_of(x, along));
  const kernels::AxisView view{product(x.sizes().slice(0, axis)), x.sizes()[axis], product(x.sizes().slice(axis + 1))};
  if (along.block == 0) {
    TORCH_CHECK(scale.numel() == view.length, "scale and input differ along axis ", axis, " (got ", scale.numel(),
                ", expected ", view.length, ")");
    return {view, 1, false, false};
  }
  const kernels::ScaleLayout layout{view, along.block, true, true};
  const int64_t expected = view.outer * layout.blocks() * view.inner;
  TORCH_CHECK(scale.numel() == expected, "scales do not fit blocks of ", along.block, " along axis ", axis, " (got ",
              scale.numel(), ", expected ", expected, ")");
  return layout;
}

// A scale or zero point in a shape that broadcasts against x.
at::Tensor spread(const at::Tensor& parameter, const at::Tensor& x, const ScaleAxis& along) {
  layout_of(x, parameter, along);  // checks
  if (parameter.numel() == 1) return at::reshape(parameter, {});
  const int64_t axis = axis_of(x, along);
  if (along.block > 0) return at::repeat_interleave(parameter, along.block, axis).narrow(axis, 0, x.size(axis));
  std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
  shape[static_cast<size_t>(axis)] = parameter.numel();
  return at::reshape(parameter, shape);
}

// Elementwise kernels take any dense order as long as one scale holds for all.
at::Tensor in_order(const at::Tensor& x, const at::Tensor& scale) {
  return scale.numel() == 1 && x.is_non_overlapping_and_dense() ? x : x.contiguous();
}

// The zero point's bytes beside the scales, or null.
const uint8_t* zero_bytes(const at::Tensor& zero_point) {
  return zero_point.defined() ? static_cast<const uint8_t*>(zero_point.const_data_ptr()) : nullptr;
}

at::Tensor beside(const at::Tensor& zero_point, const at::Tensor& scale, const at::Tensor& x) {
  if (!zero_point.defined()) return zero_point;
  TORCH_CHECK(zero_point.numel() == scale.numel() || zero_point.numel() == 1,
              "zero point and scale differ in size (got ", zero_point.numel(), ", expected ", scale.numel(), ")");
  const at::Tensor moved = zero_point.to(x.device());
  return zero_point.numel() == scale.numel() ? moved.contiguous()
                                             : moved.reshape({1}).expand(scale.numel()).contiguous();
}

}  // namespace

double largest_float8(DType type) {
  switch (type) {
    case DType::float8e4m3fn:
      return 448;
    case DType::float8e4m3fnuz:
      return 240;
    case DType::float8e5m2:
    case DType::float8e5m2fnuz:
      return 57344;
    default:
      return 0;
  }
}

at::Tensor quantize(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point, DType type,
                    ScaleAxis along, bool saturates) {
  const at::Tensor real = x.to(at::kFloat);
  const at::Tensor factor = scale.to(x.device(), at::kFloat).contiguous();
  const at::Tensor zero = beside(zero_point, scale, x);
  const auto [lowest, highest] = limits_of(type);
  if (const auto kernel = kernel_type(type)) {
    const at::Tensor values = in_order(real, scale);
    at::Tensor result = at::empty_like(values, values.options().dtype(scalar_type_of(type)));
    kernels::quantize({x.is_cuda()}, values.const_data_ptr<float>(), layout_of(x, factor, along),
                      factor.const_data_ptr<float>(), zero_bytes(zero), *kernel,
                      static_cast<uint8_t*>(result.mutable_data_ptr()));
    return result;
  }
  at::Tensor result = at::div(real, spread(factor, x, along));
  if (largest_float8(type) > 0)
    return (saturates ? at::clamp(result, lowest, highest) : result).to(scalar_type_of(type));
  result = at::round(result);
  if (zero.defined()) result = at::add(result, spread(zero.to(at::kFloat), x, along));
  return at::clamp(result, lowest, highest).to(scalar_type_of(type));
}

at::Tensor dequantize(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point, ScaleAxis along) {
  const at::Tensor source = x.to(scale.is_cuda() ? scale.device() : x.device());
  const at::Tensor factor = scale.to(source.device(), at::kFloat).contiguous();
  const at::Tensor zero = beside(zero_point, scale, source);
  if (source.element_size() == 1 && at::isIntegralType(source.scalar_type(), false)) {
    const at::Tensor values = in_order(source, scale);
    at::Tensor result = at::empty_like(values, values.options().dtype(at::kFloat));
    const auto type = source.scalar_type() == at::kChar ? kernels::IntegerType::int8 : kernels::IntegerType::uint8;
    kernels::dequantize({source.is_cuda()}, static_cast<const uint8_t*>(values.const_data_ptr()),
                        layout_of(source, factor, along), factor.const_data_ptr<float>(), zero_bytes(zero), type,
                        result.mutable_data_ptr<float>());
    return result.to(scale.scalar_type());
  }
  at::Tensor real = source;
  if (at::isIntegralType(source.scalar_type(), false)) {
    real = source.to(at::kInt);
    if (zero.defined()) real = at::sub(real, spread(zero.to(at::kInt), source, along));
  }
  return at::mul(real.to(at::kFloat), spread(factor, source, along)).to(scale.scalar_type());
}

Quantized quantize_dynamically(const at::Tensor& x) {
  const at::Tensor low = at::clamp(at::min(x), std::nullopt, 0), high = at::clamp(at::max(x), 0, std::nullopt);
  const at::Tensor range = high.sub(low);
  const at::Tensor scale = at::where(range.eq(0), 1.0f, range.div(255.0f));
  const at::Tensor zero_point = at::clamp(low.neg().div(scale), 0, 255).round().to(at::kByte);
  return {quantize(x, scale, zero_point, DType::uint8, {}), scale, zero_point};
}

at::Tensor requantize(const at::Tensor& x, const at::Tensor& factor, const at::Tensor& zero_point, DType type) {
  const auto [lowest, highest] = limits_of(type);
  at::Tensor result = at::round(at::mul(x.to(at::kFloat), factor.to(x.device(), at::kFloat)));
  if (zero_point.defined()) result = at::add(result, at::reshape(zero_point, {}).to(x.device(), at::kFloat));
  return at::clamp(result, lowest, highest).to(scalar_type_of(type));
}

}  // namespace pare
