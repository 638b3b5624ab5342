#include <doctest/doctest.h>

#include "src/graph/cost.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

TEST_CASE("cost: parameters, zeros and MACs of a CNN by hand") {
  Graph graph = test::small_cnn();
  const GraphCost dense = graph_cost(graph);
  CHECK(dense.parameters == 72 + 4 * 4 + 180 + 5 + 15 + 3);
  CHECK(dense.weights == 72 + 180 + 5 + 15);  // the offset [1,5,1,1] is a constant of rank 4 too
  CHECK(dense.macs == 36 * 72 + 9 * 180 + 15);
  CHECK(dense.sparsity() == 0);
  graph.value(graph.find("conv2")).constant = Tensor::of(DType::float32, {5, 4, 3, 3}, std::vector<float>(180, -0.0f));
  const GraphCost sparse = graph_cost(graph);
  CHECK(sparse.nonzero == dense.nonzero - 180);
  CHECK(sparse.sparsity() == doctest::Approx(180.0 / 272));
}

TEST_CASE("cost: a constant that two nodes share counts once") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {1, 4});
  const ValueId w = b.weight("w", {4, 4});
  const GraphCost cost = graph_cost(b.finish(b.node("MatMul", {b.node("MatMul", {x, w}), w})));
  CHECK(cost.parameters == 16);
  CHECK(cost.macs == 32);
}

TEST_CASE("cost: layers on integers cost and hold what the float layers do") {
  using namespace pare;
  test::GraphBuilder b;
  const auto bytes = [&](const char* name, DType type, Shape shape) {
    const std::vector<uint8_t> ones(static_cast<size_t>(element_count(shape)), 1);
    return b.constant(name, Tensor::of<uint8_t>(type, std::move(shape), ones));
  };
  const ValueId x = b.input("x", {1, 2, 6, 6}, DType::uint8);
  const ValueId scale = b.filled("scale", {}, 0.5f), scales = b.filled("scales", {4}, 0.5f),
                zero = bytes("zero", DType::uint8, {});
  const ValueId bias = b.constant("bias", Tensor::of<int32_t>(DType::int32, {4}, {1, 2, 0, 4}));
  ValueId y =
      b.node("QLinearConv", {x, scale, zero, bytes("w", DType::int8, {4, 2, 3, 3}), scales, zero, scale, zero, bias});
  y = b.node("QLinearGlobalAveragePool", {y, scale, zero, scale, zero}, {}, "com.microsoft");
  y = b.node("Flatten", {y});
  y = b.node("QGemm", {y, scale, zero, bytes("fc", DType::int8, {5, 4}), scale, zero, no_value, scale, zero},
             {{"transB", int64_t{1}}}, "com.microsoft");
  const GraphCost cost = graph_cost(b.finish(y));
  CHECK(cost.macs == 16 * 72 + 20);
  CHECK(cost.parameters == 72 + 4 + 20);
  CHECK(cost.nonzero == 72 + 3 + 20);
}

TEST_CASE("cost: attention multiplies queries with keys and weights with values") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {2, 5, 8});
  const ValueId y = b.node("Attention", {x, b.weight("w", {8, 24})}, {{"num_heads", int64_t{2}}}, "com.microsoft");
  const Graph graph = b.finish(b.node("MultiHeadAttention", {y, b.input("k", {2, 7, 8}), b.input("v", {2, 7, 8})},
                                      {{"num_heads", int64_t{2}}}, "com.microsoft"));
  const GraphCost cost = graph_cost(graph);
  CHECK(cost.nodes[0].macs == 2 * 5 * 8 * 24 + 2 * 2 * 5 * 5 * 8);
  CHECK(cost.nodes[1].macs == 2 * 2 * 5 * 7 * 8);
}
