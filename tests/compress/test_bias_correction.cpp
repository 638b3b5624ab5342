#include <cmath>

#include <ATen/ops/randn.h>
#include <doctest/doctest.h>

#include "compress/bias_correction.hpp"
#include "src/exec/tensors.hpp"
#include "tests/support/graph_builder.hpp"

namespace pare::test {
namespace {

// Conv without bias -> Relu -> Conv -> Relu -> GlobalAveragePool -> Flatten -> MatMul -> Add.
Graph network() {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 3, 5, 5});
  ValueId y = b.node("Relu", {b.node("Conv", {x, b.weight("w1", {6, 3, 3, 3})})});
  y = b.node("Relu", {b.node("Conv", {y, b.weight("w2", {6, 6, 3, 3}), b.weight("b2", {6})})});
  y = b.node("Flatten", {b.node("GlobalAveragePool", {y})});
  return b.finish(b.node("Add", {b.node("MatMul", {y, b.weight("w3", {6, 4})}), b.weight("b3", {4})}));
}

// The weights on a grid of few values, always rounded down: a shift that all layers have.
Graph rounded(Graph graph) {
  for (const char* name : {"w1", "w2", "w3"}) {
    Tensor& tensor = *graph.value(graph.find(name)).constant;
    std::vector<float> values = tensor.as<float>();
    for (float& value : values) value = std::floor(value * 8) / 8;
    tensor = Tensor::of(DType::float32, tensor.shape, values);
  }
  return graph;
}

QuantPlacement placement_of(const Graph& graph) {
  return place_quantization(graph, [](const std::string&) { return true; });
}

// Means of the graph's output channels over the batches.
at::Tensor means(const Graph& graph, const std::vector<at::Tensor>& batches) {
  const Executor executor(graph);
  const Parameters parameters(graph, at::kCPU, Training::off);
  at::Tensor sum;
  for (const at::Tensor& batch : batches) {
    const at::Tensor mean = executor.run(parameters, {&batch, 1}, false)[0].mean(0);
    sum = sum.defined() ? sum.add(mean) : mean;
  }
  return sum.div(static_cast<double>(batches.size()));
}

std::vector<at::Tensor> random_batches(int count) {
  std::vector<at::Tensor> batches;
  for (int i = 0; i < count; ++i) batches.push_back(at::randn({4, 3, 5, 5}).abs());
  return batches;
}

}  // namespace

TEST_CASE("bias_correction: the mean of every channel comes back") {
  const c10::AutoGradMode no_gradients(false);
  Graph graph = network();
  CHECK(add_missing_biases(graph) == 1);
  CHECK(add_missing_biases(graph) == 0);
  const auto batches = random_batches(12);
  BiasCorrection correction(graph, rounded(graph), placement_of(graph), at::kCPU);
  for (const at::Tensor& batch : batches) correction.add({&batch, 1});
  correction.next_pass();
  for (const at::Tensor& batch : batches) correction.add({&batch, 1});
  const auto biases = correction.biases();
  CHECK(biases.size() == 3);
  Graph corrected = rounded(graph);
  for (const auto& [id, row] : biases) {
    CHECK(row.shift > 0);
    corrected.value(id).constant = row.bias;
  }
  const at::Tensor expected = means(graph, batches);
  const double before = means(rounded(graph), batches).sub(expected).abs().max().item<double>();
  const double after = means(corrected, batches).sub(expected).abs().max().item<double>();
  CHECK(before > 0.1);
  CHECK(after < 0.05 * before);
}

TEST_CASE("bias_correction: errors of few values do not move the others") {
  const c10::AutoGradMode no_gradients(false);
  const auto product = [](bool clipped) {
    GraphBuilder b;
    ValueId x = b.input("x", {-1, 4});
    if (clipped) x = b.node("Clip", {x, b.filled("low", {}, -1), b.filled("high", {}, 1)});
    return b.finish(b.node("Add", {b.node("MatMul", {x, b.weight("w", {4, 4})}), b.weight("b", {4})}));
  };
  const Graph graph = product(false);
  for (const bool rare : {true, false}) {
    BiasCorrection correction(graph, product(true), placement_of(graph), at::kCPU);
    at::Tensor x = at::randn({64, 4}).clamp(-1, 1);
    if (rare) x.slice(0, 0, 1).fill_(300);
    else x.fill_(2);
    correction.add({&x, 1});
    correction.next_pass();
    correction.add({&x, 1});
    const auto biases = correction.biases();
    REQUIRE(biases.size() == 1);
    CHECK((biases.begin()->second.shift > 0) == !rare);
  }
}

TEST_CASE("bias_correction: a graph that computes the same asks for nothing") {
  const c10::AutoGradMode no_gradients(false);
  Graph graph = network();
  add_missing_biases(graph);
  BiasCorrection correction(graph, graph, placement_of(graph), at::kCPU);
  const auto batches = random_batches(3);
  for (int pass = 0; pass < 2; ++pass) {
    if (pass == 1) correction.next_pass();
    for (const at::Tensor& batch : batches) correction.add({&batch, 1});
  }
  for (const auto& [id, row] : correction.biases()) CHECK(row.shift < 1e-6);
}

TEST_CASE("bias_correction: without samples there is no correction") {
  Graph graph = network();
  add_missing_biases(graph);
  CHECK(BiasCorrection(graph, graph, placement_of(graph), at::kCPU).biases().empty());
}

}  // namespace pare::test
