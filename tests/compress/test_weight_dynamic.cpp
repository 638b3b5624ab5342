#include <doctest/doctest.h>

#include "compress/weight_dynamic.hpp"
#include "tests/support/graph_builder.hpp"

namespace pare::test {

TEST_CASE("weight_dynamic: products with one input share its quantization, Gemm's transposition and bias are kept") {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 32});
  const ValueId left = b.node("MatMul", {x, b.weight("left", {32, 48})});
  const ValueId right = b.node("Gemm", {x, b.weight("right", {48, 32}), b.weight("bias", {48})},
                               {{"transB", int64_t{1}}, {"alpha", 2.0f}});
  Graph graph = b.finish(b.node("Add", {left, right}));
  const WeightOnlyResult result = quantize_dynamically(graph, {});
  std::string ops;
  for (const Node& node : graph.nodes) ops += node.op + " ";
  CHECK(ops == "DynamicQuantizeLinear MatMulInteger Cast Mul Mul MatMulInteger Cast Mul Mul Add Add ");
  REQUIRE(result.weights.size() == 2);
  CHECK(result.weights[1].shape == Shape{32, 48});
  CHECK(result.weights[1].encoded.scale.size() == 48);
  CHECK(result.weights[1].snr_db > 35);
  const auto original = graph.value(graph.find("right")).constant->as<float>();
  const float first = result.weights[1].encoded.decoded()[1];  // [0, 1] of [K, N]
  CHECK(first == doctest::Approx(2 * original[32]).epsilon(0.05));
  check_weights(graph, result);
}

TEST_CASE("weight_dynamic: shared, stacked and deselected weights stay float") {
  GraphBuilder b;
  const ValueId x = b.input("x", {2, 8, 8});
  const ValueId shared = b.weight("shared", {8, 8});
  ValueId y = b.node("MatMul", {b.node("MatMul", {x, shared}), shared});
  y = b.node("MatMul", {y, b.weight("stack", {2, 8, 8})});
  Graph graph = b.finish(b.node("MatMul", {y, b.weight("other", {8, 8})}));
  DynamicConfig config;
  config.selected = [](const std::string& name) { return name != "other"; };
  const WeightOnlyResult result = quantize_dynamically(graph, config);
  CHECK(result.weights.empty());
  CHECK(result.kept.size() == 2);
  CHECK(graph.nodes.size() == 4);
}

}  // namespace pare::test
