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
