#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/sum.h>
#include <doctest/doctest.h>

#include "src/exec/executor.hpp"
#include "src/exec/tensors.hpp"
#include "src/graph/fake_quant.hpp"
#include "src/train/optimizer.hpp"
#include "tests/support/graph_builder.hpp"

namespace pare::test {
namespace {

ValueId add_fake_quant(GraphBuilder& b, ValueId value, const FakeQuantForm& form, std::vector<ValueId> rest) {
  std::vector<ValueId> inputs{value};
  inputs.insert(inputs.end(), rest.begin(), rest.end());
  const Node node = fake_quant_node("", form, inputs, 0);
  return b.node("FakeQuant", inputs, node.attributes, "pare");
}

// x [-1, 3] -> FakeQuant -> MatMul with a fake-quantized weight [3, 4].
Graph quantized_product(const FakeQuantForm& activation, const FakeQuantForm& weight, bool learned_zero) {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 3});
  std::vector<ValueId> rest{b.filled("x.step", {}, 0.25f)};
  if (learned_zero) rest.push_back(b.filled("x.zero", {}, 3.4f));
  const ValueId in = add_fake_quant(b, x, activation, rest);
  const ValueId w = add_fake_quant(b, b.weight("w", {3, 4}), weight, {b.filled("w.step", {4}, 0.2f)});
  return b.finish(b.node("MatMul", {in, w}));
}

const Parameter& named(const Parameters& parameters, const std::string& name) {
  for (const Parameter& parameter : parameters.all())
    if (parameter.name == name) return parameter;
  throw std::runtime_error("no parameter " + name);
}

at::Tensor quantized(const at::Tensor& x, const at::Tensor& step, double zero, double low, double high) {
  return ((x / step).round() + zero).clamp(low, high).sub(zero) * step;
}

}  // namespace

TEST_CASE("fake_quant: a graph computes with rounded values, and gradients reach input, weight, step and zero point") {
  const FakeQuantForm activation{-8, 7, 0, -1, "lsq"}, weight{-2, 1, 0, 1, "lsq"};
  const Graph graph = quantized_product(activation, weight, true);
  const Executor executor(graph);
  const Parameters parameters(graph, at::kCPU, Training::on);
  CHECK((named(parameters, "w").role == Role::weight));
  CHECK((named(parameters, "w.step").role == Role::step));
  CHECK(named(parameters, "x.step").role == Role::step);
  CHECK(named(parameters, "x.zero").role == Role::offset);
  const at::Tensor x = at::randn({5, 3}).requires_grad_();
  const at::Tensor y = executor.run(parameters, {&x, 1}, true)[0];
  const at::Tensor w = named(parameters, "w").tensor.detach();
  const at::Tensor expected =
      quantized(x.detach(), at::full({}, 0.25), 3, -8, 7).matmul(quantized(w, at::full({4}, 0.2), 0, -2, 1));
  CHECK(y.detach().allclose(expected, 1e-5, 1e-6));
  y.sum().backward();
  const at::Tensor u = w / 0.2;
  const at::Tensor inside = (u > -2).logical_and(u < 1);
  // What arrives at the quantized weight: the sum of the quantized inputs, the same for each column.
  const at::Tensor arrived = quantized(x.detach(), at::full({}, 0.25), 3, -8, 7).sum(0).unsqueeze(1).expand({3, 4});
  CHECK(named(parameters, "w").tensor.grad().allclose(arrived * inside));
  const at::Tensor step_terms = arrived * (u.round() - u).where(inside, u.clamp(-2, 1));
  CHECK(named(parameters, "w.step").tensor.grad().allclose(step_terms.sum(0) / std::sqrt(3.0 * 1), 1e-4, 1e-5));
  CHECK(named(parameters, "x.step").tensor.grad().defined());
  CHECK(named(parameters, "x.zero").tensor.grad().defined());
  CHECK(x.grad().defined());
}

TEST_CASE("fake_quant: channels_last tensors and strided ones give the values of contiguous ones") {
  for (const int axis : {-1, 0, 1, 2}) {
    GraphBuilder b;
    const ValueId x = b.input("x", {4, 3, 5, 2});
    const std::vector<int64_t> shape = axis < 0 ? std::vector<int64_t>{}
                                                : std::vector<int64_t>{axis == 0   ? 4
                                                                       : axis == 1 ? 3
                                                                                   : 5};
    const ValueId step = b.weight("step", shape.empty() ? Shape{} : Shape{shape[0]});
    Graph graph = b.finish(add_fake_quant(b, x, {-8, 7, 0, axis, "lsq"}, {step}));
    std::vector<float> steps;
    for (int64_t i = 0; i < (shape.empty() ? 1 : shape[0]); ++i) steps.push_back(0.1f + 0.05f * static_cast<float>(i));
    graph.value(graph.find("step")).constant =
        Tensor::of(DType::float32, graph.value(graph.find("step")).constant->shape, steps);
    const Executor executor(graph);
    const auto run = [&](at::Tensor input, at::Tensor& input_gradient, at::Tensor& step_gradient) {
      const Parameters parameters(graph, at::kCPU, Training::on);
      input = input.detach().requires_grad_();
      const at::Tensor result = executor.run(parameters, {&input, 1}, true)[0];
      (result * result).sum().backward();
      input_gradient = input.grad();
      step_gradient = named(parameters, "step").tensor.grad();
      return result.detach();
    };
    const at::Tensor x0 = at::randn({4, 3, 5, 2});
    at::Tensor dx, ds, dx_last, ds_last, dx_strided, ds_strided;
    const at::Tensor y = run(x0, dx, ds);
    CHECK(run(x0.contiguous(at::MemoryFormat::ChannelsLast), dx_last, ds_last).equal(y));
    CHECK(run(x0.transpose(2, 3).contiguous().transpose(2, 3), dx_strided, ds_strided).equal(y));
    CHECK(dx_last.equal(dx));
    CHECK(dx_strided.equal(dx));
    CHECK(ds_last.allclose(ds, 1e-4, 1e-5));
    CHECK(ds_strided.allclose(ds, 1e-4, 1e-5));
  }
}

TEST_CASE("fake_quant: 16-bit activations keep their type, steps keep fp32 gradients") {
  const Graph graph = [&] {
    GraphBuilder b;
    const ValueId x = b.input("x", {-1, 3});
    return b.finish(add_fake_quant(b, x, {0, 255, 0, -1, "lsq"}, {b.filled("step", {}, 0.25f)}));
  }();
  const Executor executor(graph);
  const Parameters parameters(graph, at::kCPU, Training::on);
  const at::Tensor x = at::randn({4, 3}).abs().to(at::kBFloat16).requires_grad_();
  const at::Tensor y = executor.run(parameters, {&x, 1}, true)[0];
  CHECK((y.scalar_type() == at::kBFloat16));
  y.sum().backward();
  CHECK((x.grad().scalar_type() == at::kBFloat16));
  CHECK((named(parameters, "step").tensor.grad().scalar_type() == at::kFloat));
}

TEST_CASE("fake_quant: minmax steps follow the range without a gradient, only in training") {
  const Graph graph = quantized_product({0, 15, 0, -1, "minmax"}, {-8, 7, 0, 1, "minmax"}, false);
  const Executor executor(graph);
  const Parameters parameters(graph, at::kCPU, Training::on);
  CHECK((named(parameters, "w.step").role == Role::statistics));
  const at::Tensor x = at::full({2, 3}, 30.0);
  {
    const c10::AutoGradMode no_grad(false);
    (void)executor.run(parameters, {&x, 1}, true);
  }
  CHECK(named(parameters, "x.step").tensor.item<float>() == 0.25f);
  (void)executor.run(parameters, {&x, 1}, true);
  CHECK(named(parameters, "x.step").tensor.item<float>() == doctest::Approx(0.25 + 0.01 * (2.0 - 0.25)));
  const at::Tensor w = named(parameters, "w").tensor.detach();
  CHECK(named(parameters, "w.step").tensor.allclose((w.amax({0}) / 7).maximum(w.amin({0}) / -8)));
}

TEST_CASE("fake_quant: steps are trained by their logarithm, so that they stay positive") {
  for (const char* kind : {"adamw", "sgd"}) {
    const Graph graph = quantized_product({-8, 7, 0, -1, "lsq"}, {-2, 1, 0, 1, "lsq"}, false);
    const Parameters parameters(graph, at::kCPU, Training::on);
    OptimizerConfig config;
    config.kind = kind;
    config.momentum = 0;
    config.weight_decay = 0.5;
    Optimizer optimizer(parameters, config);
    at::Tensor step = named(parameters, "w.step").tensor;
    step.mutable_grad() = at::full({4}, 3.0f);
    optimizer.step(0.1);
    const double change = kind == std::string("sgd") ? -0.1 * 3 * 0.2 : -0.1;  // the first step of AdamW is the rate
    CHECK(step.detach().allclose(at::full({4}, 0.2 * std::exp(change)), 1e-5));
    for (int i = 0; i < 200; ++i) optimizer.step(1.0);
    CHECK(step.min().item<float>() > 0);
  }
}

}  // namespace pare::test
