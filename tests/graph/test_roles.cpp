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
