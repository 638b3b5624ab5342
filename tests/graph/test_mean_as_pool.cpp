#include <doctest/doctest.h>

#include "src/graph/passes/mean_as_pool.hpp"
#include "tests/support/graph_builder.hpp"

namespace pare::test {
namespace {

Graph mean(std::vector<int64_t> axes, int64_t keepdims) {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 3, 4, 4});
  const auto count = static_cast<int64_t>(axes.size());
  const ValueId list = b.constant("axes", Tensor::of<int64_t>(DType::int64, {count}, axes));
  return b.finish(b.node("ReduceMean", {x, list}, {{"keepdims", keepdims}}));
}

}  // namespace

TEST_CASE("mean_as_pool: means over height and width become pools, with a Squeeze where the dimensions go") {
  Graph kept = mean({2, 3}, 1);
  CHECK(mean_as_pool(kept) == 1);
  REQUIRE(kept.nodes.size() == 1);
  CHECK(kept.nodes[0].op == "GlobalAveragePool");
  CHECK(kept.nodes[0].inputs.size() == 1);
  Graph squeezed = mean({-1, -2}, 0);
  CHECK(mean_as_pool(squeezed) == 1);
  REQUIRE(squeezed.nodes.size() == 2);
  CHECK(squeezed.nodes[1].op == "Squeeze");
  CHECK(squeezed.nodes[1].outputs[0] == squeezed.outputs[0].value);
  CHECK(to_int64(*squeezed.value(squeezed.nodes[1].inputs[1]).constant) == std::vector<int64_t>{2, 3});
  verify(squeezed);
}

TEST_CASE("mean_as_pool: other means stay") {
  for (const auto& axes : {std::vector<int64_t>{1, 2, 3}, {3}, {1}}) {
    Graph graph = mean(axes, 1);
    CHECK(mean_as_pool(graph) == 0);
    CHECK(graph.nodes[0].op == "ReduceMean");
  }
}

}  // namespace pare::test
