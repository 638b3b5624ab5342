#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/randn.h>
#include <doctest/doctest.h>

#include "compress/input_norms.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

TEST_CASE("input_norms: over all samples and positions, one for each input channel, as the weight lies") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {-1, 4, 5, 5});
  b.node("Conv", {x, b.weight("plain", {6, 4, 3, 3})});
  b.node("Conv", {x, b.weight("grouped", {6, 2, 1, 1})}, {{"group", int64_t{2}}});
  const ValueId y = b.node("MatMul", {x, b.weight("right", {5, 7})});
  const Graph graph = b.finish(b.node("MatMul", {b.weight("left", {3, 5}), y}));
  const Executor executor(graph);
  const Parameters parameters(graph, at::kCPU, Training::off);
  InputNorms norms(graph, {"plain", "grouped", "right", "left"});
  const c10::AutoGradMode no_grad(false);
  std::vector<at::Tensor> batches;
  at::Tensor products;
  for (const int64_t count : {3, 2}) {
    batches.push_back(at::randn({count, 4, 5, 5}));
    const at::Tensor& batch = batches.back();
    executor.run(parameters, {&batch, 1}, false, &norms.observation());
  }
  const at::Tensor all = at::cat(batches);
  const auto result = norms.norms();
  const at::Tensor channels = all.square().sum(at::IntArrayRef{0, 2, 3}).sqrt();
  CHECK(at::allclose(result.at("plain").expand({6, 4, 1, 1}).select(0, 5).flatten(), channels, 1e-4, 1e-4));
  CHECK(at::allclose(result.at("grouped").select(0, 0).flatten(), channels.slice(0, 0, 2), 1e-4, 1e-4));
  CHECK(at::allclose(result.at("grouped").select(0, 3).flatten(), channels.slice(0, 2, 4), 1e-4, 1e-4));
  CHECK(result.at("right").sizes() == at::IntArrayRef{5, 1});
  CHECK(at::allclose(result.at("right").flatten(), all.square().sum(at::IntArrayRef{0, 1, 2}).sqrt(), 1e-4, 1e-4));
  const at::Tensor product = at::matmul(all, parameters.tensor(graph.find("right")));
  CHECK(at::allclose(result.at("left").flatten(), product.square().sum(at::IntArrayRef{0, 1, 3}).sqrt(), 1e-4, 1e-4));
}

TEST_CASE("input_norms: a shared weight adds up over its uses, a constant input has none") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {-1, 4});
  const ValueId w = b.weight("w", {4, 4});
  const ValueId y = b.node("MatMul", {x, w});
  b.node("MatMul", {b.weight("constant", {2, 4}), b.weight("other", {4, 4})});
  const Graph graph = b.finish(b.node("MatMul", {y, w}));
  InputNorms norms(graph, {"w", "other"});
  const at::Tensor data = at::randn({6, 4});
  const Parameters parameters(graph, at::kCPU, Training::off);
  const c10::AutoGradMode no_grad(false);
  Executor(graph).run(parameters, {&data, 1}, false, &norms.observation());
  const auto result = norms.norms();
  const at::Tensor product = at::matmul(data, parameters.tensor(w));
  CHECK(at::allclose(result.at("w").flatten(), (data.square().sum(0) + product.square().sum(0)).sqrt(), 1e-4, 1e-5));
  CHECK_FALSE(result.contains("other"));
}
