#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/any.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/sum.h>
#include <doctest/doctest.h>

#include "src/core/error.hpp"
#include "src/exec/executor.hpp"
#include "src/exec/tensors.hpp"
#include "src/graph/passes/fold_batch_normalization.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

at::Tensor samples(int64_t count) {
  at::Tensor x = at::ones({count, 2, 6, 6});
  auto* values = x.mutable_data_ptr<float>();
  for (int64_t i = 0; i < x.numel(); ++i) values[i] = random_normal({3, 1}, static_cast<uint64_t>(i));
  return x;
}

// A fixed weighting of the outputs, so that no gradient is zero by symmetry.
at::Tensor objective(const Executor& executor, const Parameters& parameters, const at::Tensor& x, bool training) {
  const at::Tensor y = executor.run(parameters, {&x, 1}, training).at(0);
  at::Tensor weights = at::ones(y.sizes());
  auto* values = weights.mutable_data_ptr<float>();
  for (int64_t i = 0; i < weights.numel(); ++i) values[i] = 0.3f + 0.2f * static_cast<float>(i % 5);
  return (y * weights).sum();
}

// The element in the middle of every dimension, as a view.
at::Tensor middle(at::Tensor tensor) {
  while (tensor.dim() > 0) tensor = tensor.select(0, tensor.size(0) / 2);
  return tensor;
}

}  // namespace

TEST_CASE("executor: gradients of every parameter equal finite differences, with Relu in place") {
  const Graph graph = test::small_cnn();
  const Executor executor(graph);
  const Parameters parameters(graph, at::kCPU, Training::on);
  const at::Tensor x = samples(3);
  objective(executor, parameters, x, false).backward();
  int checked = 0;
  for (const Parameter& parameter : parameters.all()) {
    if (parameter.role == Role::statistics) {
      CHECK_FALSE(parameter.tensor.grad().defined());
      continue;
    }
    const c10::AutoGradMode no_grad(false);
    const at::Tensor element = middle(parameter.tensor);
    const auto value = element.item<float>();
    const float step = 1e-2f;
    element.fill_(value + step);
    const auto up = objective(executor, parameters, x, false).item<double>();
    element.fill_(value - step);
    const auto down = objective(executor, parameters, x, false).item<double>();
    element.fill_(value);
    INFO(parameter.name);
    CHECK(middle(parameter.tensor.grad()).item<double>() == doctest::Approx((up - down) / (2 * step)).epsilon(0.02));
    ++checked;
  }
  CHECK(checked == 7);
}

TEST_CASE("executor: parameters share the graph's memory until they are written, those that train never do") {
  Graph graph = test::small_cnn();
  align_constants(graph);
  const ValueId id = graph.find("conv1");
  const std::vector<float> before = graph.value(id).constant->as<float>();
  for (const Training training : {Training::off, Training::gradients, Training::on}) {
    Parameters parameters(graph, at::kCPU, training);
    const ValueId bias = graph.find("fc.bias");
    const bool shared = parameters.tensor(bias).const_data_ptr() == graph.value(bias).constant->data.data();
    CHECK(shared == (training != Training::on));
    const c10::AutoGradMode no_grad(false);
    const at::Tensor own = training == Training::on ? parameters.tensor(id) : parameters.writable(id);
    own.zero_();
    CHECK(parameters.tensor(id).eq(0).all().item<bool>());
    CHECK(graph.value(id).constant->as<float>() == before);
  }
}

TEST_CASE("executor: shared tensors keep their memory when the graph is gone") {
  at::Tensor kept;
  {
    Graph graph = test::small_cnn();
    align_constants(graph);
    kept = Parameters(graph, at::kCPU, Training::off).tensor(graph.find("fc.bias"));
  }
  CHECK(kept.isfinite().all().item<bool>());
}

TEST_CASE("executor: training mode moves the running statistics, evaluation does not") {
  const Graph graph = test::small_cnn();
  const Executor executor(graph);
  const Parameters parameters(graph, at::kCPU, Training::on);
  const at::Tensor& mean = parameters.tensor(graph.find("mean"));
  const at::Tensor before = mean.clone();
  const at::Tensor x = samples(4);
  executor.run(parameters, {&x, 1}, false);
  CHECK(mean.equal(before));
  executor.run(parameters, {&x, 1}, true);
  CHECK_FALSE(mean.equal(before));
}

TEST_CASE("executor: folded batch normalizations give the same outputs") {
  const Graph graph = test::small_cnn();
  Graph folded = graph;
  CHECK(fold_batch_normalization(folded) == 1);
  CHECK(folded.nodes.size() == graph.nodes.size() - 1);
  CHECK_NOTHROW(verify(folded));
  const at::Tensor x = samples(4);
  const auto outputs = [&](const Graph& g) {
    return Executor(g).run(Parameters(g, at::kCPU, Training::off), {&x, 1}, false).at(0);
  };
  CHECK(at::allclose(outputs(graph), outputs(folded), 1e-5, 1e-6));
}

TEST_CASE("executor: a graph without a runnable operator is refused by name") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {1, 2});
  const Graph graph = b.finish(b.node("Frobnicate", {x}));
  try {
    const Executor executor(graph);
    FAIL("expected an error");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::bad_input);
    CHECK(std::string(error.what()).find("Frobnicate_0") != std::string::npos);
  }
}

TEST_CASE("executor: shapes that do not fit name the node") {
  const Graph graph = test::small_cnn();
  const Executor executor(graph);
  const Parameters parameters(graph, at::kCPU, Training::off);
  const at::Tensor x = at::ones({1, 3, 6, 6});
  try {
    executor.run(parameters, {&x, 1}, false);
    FAIL("expected an error");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::bad_input);
    CHECK(std::string(error.what()).find("Conv_0") != std::string::npos);
  }
}

TEST_CASE("executor: an observation sees inputs and values as they are before the next node, and nothing else") {
  const Graph graph = test::small_cnn();
  const Executor executor(graph);
  const Parameters parameters(graph, at::kCPU, Training::off);
  const at::Tensor x = samples(2);
  Observation observation;
  std::vector<ValueId> order;
  bool negative = false;
  const ValueId before_relu = graph.nodes[1].outputs[0];
  observation.watched.resize(static_cast<size_t>(before_relu) + 1);
  observation.watched[static_cast<size_t>(graph.inputs[0].value)] = true;
  observation.watched[static_cast<size_t>(before_relu)] = true;
  observation.seen = [&](ValueId id, const at::Tensor& value) {
    order.push_back(id);
    if (id == before_relu) negative = (value < 0).any().item<bool>();
  };
  const at::Tensor y = executor.run(parameters, {&x, 1}, false, &observation).at(0);
  CHECK(order == std::vector<ValueId>{graph.inputs[0].value, before_relu});
  CHECK(negative);  // although Relu overwrites it
  CHECK(at::allclose(y, executor.run(parameters, {&x, 1}, false).at(0), 0, 0));
}
