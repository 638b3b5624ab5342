#include <doctest/doctest.h>

#include "src/graph/roles.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

TEST_CASE("roles: weights, offsets, statistics and what is left alone") {
  const Graph graph = test::small_cnn();
  const auto roles = roles_of(graph);
  const auto role = [&](const char* name) { return roles[static_cast<size_t>(graph.find(name))]; };
  for (const char* name : {"conv1", "conv2", "fc"}) CHECK(role(name) == Role::weight);
  for (const char* name : {"scale", "shift", "offset", "fc.bias"}) CHECK(role(name) == Role::offset);
  for (const char* name : {"mean", "variance"}) CHECK(role(name) == Role::statistics);
  CHECK(role("x") == Role::none);
}

TEST_CASE("roles: a single number is part of the formula") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {1, 4});
  const ValueId epsilon = b.filled("epsilon", {}, 1e-5f);
  const Graph graph = b.finish(b.node("Add", {x, epsilon}));
  CHECK(roles_of(graph)[static_cast<size_t>(epsilon)] == Role::none);
}

TEST_CASE("roles: weights that other nodes move or compute on the way to their layer") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {2, 4});
  const ValueId moved = b.weight("moved", {3, 4}), added = b.weight("added", {3, 2});
  const ValueId turned = b.node("Transpose", {b.node("Cast", {moved}, {{"to", int64_t{1}}})});
  const ValueId y = b.node("MatMul", {x, turned});
  const ValueId direct = b.weight("direct", {3, 2});
  const ValueId sum = b.node("Add", {added, direct});
  const ValueId z = b.node("MatMul", {y, b.node("Identity", {sum})});
  const ValueId w = b.node("MatMul", {y, direct});
  // A product of two values that flow.
  const ValueId shifted = b.node("Add", {z, b.weight("shift", {2, 2})});
  const Graph graph = b.finish(b.node("Sum", {b.node("MatMul", {z, shifted}), w}));
  const auto roles = roles_of(graph);
  const auto role = [&](const char* name) { return roles[static_cast<size_t>(graph.find(name))]; };
  CHECK(role("moved") == Role::moved_weight);
  CHECK(role("added") == Role::offset);
  CHECK(role("direct") == Role::weight);
  CHECK(role("shift") == Role::offset);
  const std::vector<IndirectWeight> found = indirect_weights(graph);
  REQUIRE(found.size() == 2);
  CHECK(found[0].constant == moved);
  CHECK(found[0].moved);
  CHECK(found[0].through == graph.nodes[0].label());
  CHECK(found[0].layer == graph.nodes[2].label());
  CHECK(found[1].constant == added);
  CHECK_FALSE(found[1].moved);
}

TEST_CASE("roles: a weight that the body of an If moves is one around it, too") {
  test::GraphBuilder inner;
  const ValueId given = inner.input("given", {2, 4}), captured = inner.input("captured", {3, 4});
  const auto body =
      std::make_shared<Graph>(inner.finish(inner.node("MatMul", {given, inner.node("Transpose", {captured})})));
  test::GraphBuilder b;
  const ValueId x = b.input("x", {2, 4}), condition = b.input("condition", {}, DType::boolean);
  const ValueId w = b.weight("w", {3, 4});
  Graph graph =
      b.finish(b.node("If", {condition, x, w}, {{"then_branch", Subgraph(body)}, {"else_branch", Subgraph(body)}}));
  graph.nodes[0].captured = 2;
  CHECK(roles_of(graph)[static_cast<size_t>(w)] == Role::moved_weight);
  const std::vector<IndirectWeight> found = indirect_weights(graph);
  REQUIRE(found.size() == 1);
  CHECK(found[0].constant == w);
}
