#include <doctest/doctest.h>

#include "src/graph/passes/expand_flattening_softmax.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

Graph softmax_over(Shape shape, std::map<std::string, Attribute, std::less<>> attributes = {}) {
  test::GraphBuilder b;
  Graph graph = b.finish(b.node("Softmax", {b.input("x", std::move(shape))}, std::move(attributes)));
  expand_flattening_softmax(graph);
  verify(graph);
  return graph;
}

}  // namespace

TEST_CASE("expand_flattening_softmax: a matrix keeps its one node, over the second dimension") {
  const Graph graph = softmax_over({-1, 10});
  REQUIRE(graph.nodes.size() == 1);
  CHECK(graph.nodes[0].integer("axis", -9) == 1);
}

TEST_CASE("expand_flattening_softmax: dimensions of size 1 do not matter") {
  const Graph graph = softmax_over({2, 1, 7, 1});
  REQUIRE(graph.nodes.size() == 1);
  CHECK(graph.nodes[0].integer("axis", -9) == 2);
}

TEST_CASE("expand_flattening_softmax: several dimensions are flattened and put back") {
  for (const Shape& shape : {Shape{2, 3, 4}, Shape{2, -1, 4}}) {
    const Graph graph = softmax_over(shape);
    std::vector<std::string> ops;
    for (const Node& node : graph.nodes) ops.push_back(node.op);
    CHECK(ops == std::vector<std::string>{"Shape", "Flatten", "Softmax", "Reshape"});
    CHECK(graph.nodes[1].integer("axis", -9) == 1);
    CHECK(graph.nodes[2].integer("axis", -9) == -1);
    CHECK(graph.nodes[3].outputs[0] == graph.outputs[0].value);
  }
}

TEST_CASE("expand_flattening_softmax: the last axis of a cube is the last axis") {
  const Graph graph = softmax_over({2, 3, 4}, {{"axis", int64_t{2}}});
  REQUIRE(graph.nodes.size() == 1);
  CHECK(graph.nodes[0].integer("axis", -9) == 2);
}
