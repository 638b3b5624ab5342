#include <doctest/doctest.h>

#include "src/graph/passes/expand_fused.hpp"
#include "tests/support/graph_builder.hpp"

// What the expansions compute is compared with ONNX Runtime in tests/exec/test_microsoft.py.
namespace pare::test {
namespace {

std::vector<std::string> ops_of(const Graph& graph) {
  std::vector<std::string> ops;
  for (const Node& node : graph.nodes) ops.push_back(node.domain + node.op);
  return ops;
}

using Ops = std::vector<std::string>;

}  // namespace

TEST_CASE("expand_fused: a layer keeps its name and its weight, its activation follows") {
  GraphBuilder b;
  const ValueId x = b.input("x", {1, 2, 5, 5}), sum = b.input("sum", {1, 3, 3, 3});
  const ValueId w = b.weight("w", {3, 2, 3, 3});
  Graph graph =
      b.finish(b.node("FusedConv", {x, w, no_value, sum}, {{"activation", std::string("Relu")}}, "com.microsoft"));
  const std::string name = graph.nodes[0].name;
  const ValueId output = graph.outputs[0].value;
  expand_fused(graph);
  verify(graph);
  REQUIRE((ops_of(graph) == Ops{"Conv", "Add", "Relu"}));
  CHECK(graph.nodes[0].name == name);
  CHECK(graph.nodes[0].input(1) == w);
  CHECK(graph.nodes[0].attributes.empty());
  CHECK(graph.nodes[2].outputs[0] == output);
}

TEST_CASE("expand_fused: an activation that ONNX does not have leaves the node as it is") {
  GraphBuilder b;
  const ValueId x = b.input("x", {3, 4});
  Graph graph = b.finish(
      b.node("FusedGemm", {x, b.weight("w", {4, 5})}, {{"activation", std::string("Frobnicate")}}, "com.microsoft"));
  expand_fused(graph);
  CHECK((ops_of(graph) == Ops{"com.microsoftFusedGemm"}));
}

TEST_CASE("expand_fused: a product whose ranks are known becomes MatMul") {
  GraphBuilder b;
  const ValueId x = b.input("x", {2, 4, 3});
  Graph graph = b.finish(b.node("FusedMatMul", {x, b.weight("w", {5, 4})},
                                {{"transA", int64_t{1}}, {"transB", int64_t{1}}, {"alpha", 0.5f}}, "com.microsoft"));
  Graph unknown = graph;
  unknown.value(x).shape.reset();
  expand_fused(graph);
  verify(graph);
  REQUIRE((ops_of(graph) == Ops{"Transpose", "Transpose", "MatMul", "Mul"}));
  CHECK((graph.nodes[0].integers("perm", {}) == std::vector<int64_t>{0, 2, 1}));
  expand_fused(unknown);
  CHECK((ops_of(unknown) == Ops{"com.microsoftFusedMatMul"}));
}

}  // namespace pare::test
