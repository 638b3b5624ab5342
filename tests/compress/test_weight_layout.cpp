#include <doctest/doctest.h>

#include "compress/weight_layout.hpp"
#include "src/core/error.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

struct Expected {
  int64_t outer, length, inner, groups;
};

void check_layout(const Graph& graph, const std::string& name, Expected expected) {
  CAPTURE(name);
  const WeightLayout layout = weight_layout(graph, graph.find(name));
  CHECK(layout.view.outer == expected.outer);
  CHECK(layout.view.length == expected.length);
  CHECK(layout.view.inner == expected.inner);
  CHECK(layout.groups == expected.groups);
}

}  // namespace

TEST_CASE("weight_layout: the reduction of every kind of layer") {
  test::GraphBuilder b;
  const ValueId image = b.input("image", {1, 4, 8, 8});
  b.node("Conv", {image, b.weight("conv", {6, 4, 3, 3})});
  b.node("Conv", {image, b.weight("grouped", {6, 2, 3, 3})}, {{"group", int64_t{2}}});
  b.node("ConvTranspose", {image, b.weight("transposed", {4, 3, 2, 2})}, {{"group", int64_t{2}}});
  const ValueId rows = b.input("rows", {5, 7});
  b.node("Gemm", {rows, b.weight("gemm", {7, 3})});
  b.node("Gemm", {rows, b.weight("gemm_t", {3, 7})}, {{"transB", int64_t{1}}});
  const ValueId batch = b.input("batch", {2, 5, 7});
  b.node("MatMul", {batch, b.weight("right", {2, 7, 3})});
  const ValueId last = b.node("MatMul", {b.weight("left", {4, 5}), batch});
  const Graph graph = b.finish(last);
  check_layout(graph, "conv", {6, 36, 1, 1});
  check_layout(graph, "grouped", {6, 18, 1, 2});
  check_layout(graph, "transposed", {2, 2, 12, 2});
  check_layout(graph, "gemm", {1, 7, 3, 1});
  check_layout(graph, "gemm_t", {3, 7, 1, 1});
  check_layout(graph, "right", {2, 7, 3, 2});
  check_layout(graph, "left", {4, 5, 1, 1});
}

TEST_CASE("weight_layout: a shared weight needs one reduction, its uses are found with what they multiply") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {2, 4});
  const ValueId w = b.weight("shared", {4, 4});
  const ValueId y = b.node("MatMul", {x, w});
  Graph graph = b.finish(b.node("MatMul", {y, w}));
  check_layout(graph, "shared", {1, 4, 4, 1});
  const std::vector<WeightUse> uses = weight_uses(graph, w);
  REQUIRE(uses.size() == 2);
  CHECK(uses[0].data == x);
  CHECK(uses[1].data == y);
  graph.nodes[1].op = "Gemm";
  graph.nodes[1].attributes["transB"] = int64_t{1};
  try {
    weight_layout(graph, w);
    FAIL("expected an error");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::bad_input);
    CHECK(std::string(error.what()).find("weight 'shared': MatMul node") == 0);
  }
}

TEST_CASE("weight_layout: a weight that the branches of an If read") {
  test::GraphBuilder inner;
  const ValueId given = inner.input("given", {5, 7}), captured = inner.input("captured", {7, 3});
  const auto body = std::make_shared<Graph>(inner.finish(inner.node("MatMul", {given, captured})));
  test::GraphBuilder b;
  const ValueId x = b.input("x", {5, 7}), condition = b.input("condition", {}, DType::boolean);
  const ValueId w = b.weight("w", {7, 3});
  Graph graph =
      b.finish(b.node("If", {condition, x, w}, {{"then_branch", Subgraph(body)}, {"else_branch", Subgraph(body)}}));
  graph.nodes[0].captured = 2;
  check_layout(graph, "w", {1, 7, 3, 1});
  CHECK_FALSE(has_visible_inputs(graph, w));
}
