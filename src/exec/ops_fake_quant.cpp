#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/amin.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels/fake_quant.hpp"
#include "src/core/error.hpp"
#include "src/exec/ops.hpp"
#include "src/graph/fake_quant.hpp"

namespace pare::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Form {
  FakeQuantForm fake_quant;
  bool weight = false;
  bool learned_zero = false;
};

kernels::FloatType float_type(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return kernels::FloatType::fp32;
    case at::kBFloat16:
      return kernels::FloatType::bf16;
    case at::kHalf:
      return kernels::FloatType::fp16;
    default:
      fail_input("fake quantization of {} (expected a float type of 16 or 32 bits)",
                 c10::toString(tensor.scalar_type()));
  }
}

// The tensor, or a copy of it, such that its memory is [outer, channels, inner] without gaps.
struct Layout {
  at::Tensor dense;
  kernels::AxisView view;
};

Layout layout_of(const at::Tensor& x, int axis) {
  if (axis < 0) return {x.is_non_overlapping_and_dense() ? x : x.contiguous(), {1, 1, x.numel()}};
  const int64_t channels = x.size(axis);
  if (x.dim() == 4 && axis <= 1 && !x.is_contiguous() && x.is_contiguous(at::MemoryFormat::ChannelsLast)) {
    const int64_t rest = channels == 0 ? 0 : x.numel() / channels;
    return {x, axis == 0 ? kernels::AxisView{1, channels, rest} : kernels::AxisView{rest, channels, 1}};
  }
  int64_t outer = 1, inner = 1;
  for (int64_t i = 0; i < x.dim(); ++i) (i < axis ? outer : inner) *= i == axis ? 1 : x.size(i);
  return {x.contiguous(), {outer, channels, inner}};
}

kernels::FakeQuant quant_of(const Layout& layout, const at::Tensor& scale, const at::Tensor& zero,
                            const FakeQuantForm& form) {
  return {layout.dense.const_data_ptr(),
          float_type(layout.dense),
          layout.view,
          scale.const_data_ptr<float>(),
          zero.defined() ? zero.const_data_ptr<float>() : nullptr,
          form.zero_point,
          form.lowest,
          form.highest,
          form.quantizer == "pact"};
}

kernels::Device where_of(const at::Tensor& tensor) { return {tensor.is_cuda(), nullptr}; }

at::Tensor simulate(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero, const FakeQuantForm& form) {
  const Layout layout = layout_of(x, form.axis);
  at::Tensor result = at::empty_like(layout.dense);
  kernels::fake_quantize(where_of(x), quant_of(layout, scale, zero, form), result.mutable_data_ptr());
  return result;
}

class FakeQuantFunction : public torch::autograd::Function<FakeQuantFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& scale,
                            const at::Tensor& zero, const Form* form) {
    context->save_for_backward({x, scale, zero});  // zero is the scale once more where it is not learned
    context->saved_data["form"] = reinterpret_cast<int64_t>(form);  // lives as long as the executor's step
    return simulate(x, scale, form->learned_zero ? zero : at::Tensor(), form->fake_quant);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const auto& form = *reinterpret_cast<const Form*>(context->saved_data["form"].toInt());
    const at::Tensor &x = saved[0], &scale = saved[1], zero = form.learned_zero ? saved[2] : at::Tensor();
    const FakeQuantForm& fake_quant = form.fake_quant;
    const Layout layout = layout_of(x, fake_quant.axis);
    at::Tensor gradient = gradients[0];
    if (gradient.strides() != layout.dense.strides() || gradient.scalar_type() != x.scalar_type())
      gradient = at::empty_like(layout.dense).copy_(gradient);
    at::Tensor input_gradient = at::empty_like(layout.dense);
    at::Tensor scale_gradient = at::empty_like(scale), zero_gradient;
    if (zero.defined()) zero_gradient = at::empty_like(zero);
    // LSQ: 1 / sqrt(values that share the step, of one sample, times the codes above zero).
    const auto count = static_cast<double>(form.weight || x.dim() == 0 ? x.numel() / layout.view.length
                                                                       : x.numel() / std::max<int64_t>(1, x.size(0)));
    const double levels = fake_quant.highest - fake_quant.zero_point;
    const double balance = 1 / std::sqrt(std::max(1.0, count * levels));
    kernels::fake_quantize_backward(where_of(x), quant_of(layout, scale, zero, fake_quant), gradient.const_data_ptr(),
                                    static_cast<float>(balance), input_gradient.mutable_data_ptr(),
                                    scale_gradient.mutable_data_ptr<float>(),
                                    zero.defined() ? zero_gradient.mutable_data_ptr<float>() : nullptr);
    return {input_gradient, scale_gradient, zero_gradient, at::Tensor()};
  }
};

// The step with which the codes just cover the values' range, given the zero point.
at::Tensor covering_step(const at::Tensor& x, const FakeQuantForm& form) {
  std::vector<int64_t> others;
  for (int64_t i = 0; i < x.dim(); ++i)
    if (i != form.axis) others.push_back(i);
  const at::Tensor high = at::amax(x, others).to(at::kFloat), low = at::amin(x, others).to(at::kFloat);
  const double above = form.highest - form.zero_point, below = form.zero_point - form.lowest;
  at::Tensor step = above > 0 ? high / above : at::zeros_like(high);
  if (below > 0) step = step.maximum(low / -below);
  return step;
}

// minmax: replaces the step of a weight, moves that of an activation a hundredth of the way. A range of zeros leaves
// it.
void follow_range(const at::Tensor& x, const at::Tensor& scale, const Form& form) {
  const c10::AutoGradMode no_grad(false);
  const at::Tensor now = covering_step(x.detach(), form.fake_quant).reshape_as(scale);
  const at::Tensor moved = form.weight ? now : scale + (now - scale) * 0.01;
  at::Tensor target = scale;
  target.copy_(moved.where(now > 0, scale));
}

}  // namespace

Step fake_quant(const Site& site) {
  const auto form = std::make_shared<Form>(
      Form{fake_quant_of(site.node), site.constant(0) != nullptr, site.node.input(2) != no_value});
  const bool follows = form->fake_quant.quantizer == "minmax";
  return [form, follows](const Call& call) {
    const at::Tensor &x = call.in[0], &scale = call.in[1];
    if (follows && c10::GradMode::is_enabled()) follow_range(x, scale, *form);
    const at::Tensor zero = form->learned_zero ? call.in[2] : at::Tensor();
    call.out[0] = c10::GradMode::is_enabled()
                      ? FakeQuantFunction::apply(x, scale, form->learned_zero ? zero : scale, form.get())
                      : simulate(x, scale, zero, form->fake_quant);
  };
}

}  // namespace pare::ops
