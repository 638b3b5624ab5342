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

TEST_CASE("roles: what stands in a weight's place through other nodes alone is named, not a weight") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {2, 4});
  const ValueId indirect = b.weight("indirect", {3, 4});
  const ValueId turned = b.node("Transpose", {b.node("Cast", {indirect}, {{"to", int64_t{1}}})});
  const ValueId y = b.node("MatMul", {x, turned});
  // A weight of its own, and a product of two values that flow.
  const ValueId z = b.node("MatMul", {y, b.weight("direct", {3, 2})});
  const ValueId shifted = b.node("Add", {z, b.weight("shift", {2, 2})});
  const Graph graph = b.finish(b.node("MatMul", {z, shifted}));
  const std::vector<IndirectWeight> found = indirect_weights(graph);
  REQUIRE(found.size() == 1);
  CHECK(found[0].constant == indirect);
  CHECK(found[0].through == &graph.nodes[0]);
  CHECK(found[0].layer == &graph.nodes[2]);
}
