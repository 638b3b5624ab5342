#include <algorithm>
#include <array>
#include <random>
#include <set>

#include <ATen/ops/empty.h>
#include <ATen/ops/sum.h>
#include <doctest/doctest.h>

#include "src/exec/executor.hpp"
#include "src/graph/op_table.hpp"
#include "tests/exec/gradient_cases.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;
using namespace pare::test;

namespace {

std::string full_name(std::string_view domain, std::string_view op) {
  return domain.empty() ? std::string(op) : std::string(domain) + "." + std::string(op);
}

at::Tensor drawn(const Shape& shape, double low, double high, std::mt19937_64& random) {
  at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(at::kDouble));
  auto* values = tensor.mutable_data_ptr<double>();
  for (int64_t i = 0; i < tensor.numel(); ++i)
    values[i] = low + (high - low) * static_cast<double>(random() >> 11) * 0x1p-53;
  return tensor;
}

// A graph of the one node, its float operands as inputs in fp64.
Graph graph_of(const GradientCase& row) {
  GraphBuilder builder;
  std::vector<ValueId> inputs;
  for (const Operand& operand : row.operands) {
    const std::string name = "operand" + std::to_string(inputs.size());
    if (operand.constant && operand.constant->dtype == DType::undefined) inputs.push_back(no_value);
    else if (operand.constant) inputs.push_back(builder.constant(name, *operand.constant));
    else inputs.push_back(builder.input(name, operand.shape, DType::float64));
  }
  Graph graph = builder.finish(builder.node(row.op, inputs, row.attributes));
  graph.nodes[0].domain = row.domain;
  graph.nodes[0].captured = row.captured;
  for (size_t i = 1; i < row.outputs; ++i) {
    graph.nodes[0].outputs.push_back(graph.add_value("output" + std::to_string(i)));
    graph.outputs.push_back({graph.nodes[0].outputs.back(), {}, false});
  }
  return graph;
}

// The float outputs weighted so that no gradient is zero by symmetry.
at::Tensor objective(const Executor& executor, const Parameters& parameters, const std::vector<at::Tensor>& inputs) {
  at::Tensor total;
  for (const at::Tensor& y : executor.run(parameters, inputs, false)) {
    if (!at::isFloatingType(y.scalar_type())) continue;
    std::mt19937_64 random(17);
    const at::Tensor part = at::sum(y.mul(drawn(y.sizes().vec(), 0.2, 1.7, random)));
    total = total.defined() ? total.add(part) : part;
  }
  return total;
}

// The largest difference between autograd and central differences, relative to the larger of the gradient and 1.
double gradient_error(const GradientCase& row) {
  const Graph graph = graph_of(row);
  const Executor executor(graph);
  const Parameters parameters(graph, at::kCPU, Training::off);
  std::mt19937_64 random(5);
  std::vector<at::Tensor> inputs;
  std::vector<bool> differentiated;
  for (const Operand& operand : row.operands) {
    if (operand.constant) continue;
    inputs.push_back(drawn(operand.shape, operand.low, operand.high, random).set_requires_grad(operand.differentiated));
    differentiated.push_back(operand.differentiated);
  }
  objective(executor, parameters, inputs).backward();
  const c10::AutoGradMode no_grad(false);
  constexpr double step = 1e-5;
  double worst = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!differentiated[i]) continue;
    if (!inputs[i].grad().defined()) return 1e9;
    const at::Tensor gradient = inputs[i].grad().contiguous();
    auto* values = inputs[i].mutable_data_ptr<double>();
    for (int64_t j = 0; j < inputs[i].numel(); ++j) {
      const double value = values[j];
      values[j] = value + step;
      const auto up = objective(executor, parameters, inputs).item<double>();
      values[j] = value - step;
      const auto down = objective(executor, parameters, inputs).item<double>();
      values[j] = value;
      const double expected = (up - down) / (2 * step), got = gradient.const_data_ptr<double>()[j];
      worst = std::max(worst, std::abs(got - expected) / std::max(1.0, std::abs(expected)));
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("gradients: every differentiable operator has a case") {
  // test_ops_fake_quant.cpp has the cases of rounding, whose gradient is not that of the function.
  std::set<std::string> covered{"pare.FakeQuant"};
  for (const GradientCase& row : gradient_cases()) covered.insert(full_name(row.domain, row.op));
  for (const OpInfo& info : op_table())
    if (info.gradient == Gradient::differentiable) {
      CAPTURE(full_name(info.domain, info.op));
      CHECK(covered.contains(full_name(info.domain, info.op)));
    }
}

TEST_CASE("gradients: every differentiable operator equals central differences in fp64") {
  for (const GradientCase& row : gradient_cases()) {
    CAPTURE(full_name(row.domain, row.op));
    CHECK(gradient_error(row) <= 1e-6);
  }
}

TEST_CASE("gradients: the size of a vector of zeros has none, and no NaN") {
  GraphBuilder b;
  const ValueId x = b.input("x", {3}, DType::float64);
  const ValueId two = b.constant("two", Tensor::of<double>(DType::float64, {}, {2}));
  const Graph graph = b.finish(b.node("Sqrt", {b.node("Pow", {x, two})}));
  const Executor executor(graph);
  const Parameters parameters(graph, at::kCPU, Training::on);
  at::Tensor input = at::empty({3}, at::TensorOptions().dtype(at::kDouble));
  std::ranges::copy(std::array{0.0, 2.0, -3.0}, input.mutable_data_ptr<double>());
  input.requires_grad_(true);
  at::sum(executor.run(parameters, std::vector{input}, false).at(0)).backward();
  const auto* gradient = input.grad().const_data_ptr<double>();
  CHECK(gradient[0] == 0);
  CHECK(gradient[1] == doctest::Approx(1));
  CHECK(gradient[2] == doctest::Approx(-1));
}
