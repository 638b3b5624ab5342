#include <doctest/doctest.h>

#include "src/graph/passes/plain_gemm.hpp"
#include "tests/support/graph_builder.hpp"

namespace pare::test {

TEST_CASE("plain_gemm: factors go into constants that nothing else reads") {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 2});
  const ValueId shared = b.filled("shared", {2, 2}, 3);
  const std::map<std::string, Attribute, std::less<>> factors{{"alpha", 0.5f}, {"beta", 2.0f}};
  ValueId y = b.node("Gemm", {x, b.filled("w", {2, 2}, 3), b.filled("b", {2}, 1)}, factors);
  y = b.node("Gemm", {y, shared}, factors);
  Graph graph = b.finish(b.node("Gemm", {y, shared}, factors));
  CHECK(plain_gemm(graph) == 1);
  CHECK(to_double(*graph.value(graph.find("w")).constant) == std::vector<double>(4, 1.5));
  CHECK(to_double(*graph.value(graph.find("b")).constant) == std::vector<double>(2, 2));
  CHECK(to_double(*graph.value(shared).constant) == std::vector<double>(4, 3));
  CHECK(graph.nodes[0].attributes.empty());
  CHECK(graph.nodes[1].real("alpha", 1) == 0.5f);
}

}  // namespace pare::test
