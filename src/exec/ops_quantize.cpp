// Quantizing and dequantizing.
#include "src/core/error.hpp"
#include "src/exec/ops.hpp"
#include "src/exec/quantize.hpp"
#include "src/exec/tensors.hpp"

namespace pare::ops {
namespace {

ScaleAxis scale_axis(const Node& node) { return {node.integer("axis", 1), node.integer("block_size", 0)}; }

}  // namespace

Step quantize_linear(const Site& site) {
  const Node& node = site.node;
  // The zero point decides the type. Computed ones have theirs at run time; that of 4-bit ones the graph alone knows.
  const ValueId zero_point = node.input(2);
  const DType declared = zero_point != no_value ? site.graph.value(zero_point).dtype : DType::undefined;
  const auto otherwise = static_cast<DType>(node.integer("output_dtype", static_cast<int64_t>(DType::uint8)));
  const ScaleAxis along = scale_axis(node);
  const bool saturates = node.integer("saturate", 1) != 0;
  return [=](const Call& call) {
    const at::Tensor zero = call.optional(2);
    DType type = otherwise == DType::undefined ? DType::uint8 : otherwise;
    if (zero.defined()) type = is_packed(declared) ? declared : dtype_of(zero.scalar_type());
    call.out[0] = quantize(call.in[0], call.in[1], zero, type, along, saturates);
  };
}

Step dequantize_linear(const Site& site) {
  const ScaleAxis along = scale_axis(site.node);
  const auto wanted = static_cast<DType>(site.node.integer("output_dtype", 0));
  if (wanted != DType::undefined && !is_float(wanted))
    fail_input("{}: output_dtype {} is not a float type", site.node.label(), dtype_name(wanted));
  return [=](const Call& call) {
    const at::Tensor y = dequantize(call.in[0], call.in[1], call.optional(2), along);
    call.out[0] = wanted == DType::undefined ? y : y.to(scalar_type_of(wanted));
  };
}

Step dynamic_quantize_linear(const Site&) {
  return [](const Call& call) {
    const Quantized x = quantize_dynamically(call.in[0]);
    call.out[0] = x.values;
    if (call.out.size() > 1) call.out[1] = x.scale;
    if (call.out.size() > 2) call.out[2] = x.zero_point;
  };
}

}  // namespace pare::ops
