#include <doctest/doctest.h>

#include "src/core/error.hpp"
#include "src/graph/graph.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

TEST_CASE("graph: verify finds a value that is read before it is produced, or produced twice") {
  Graph graph = test::small_cnn();
  CHECK_NOTHROW(verify(graph));
  Graph reordered = graph;
  std::swap(reordered.nodes[0], reordered.nodes[1]);
  CHECK_THROWS_AS(verify(reordered), Error);
  Graph twice = graph;
  twice.nodes[1].outputs = twice.nodes[0].outputs;
  CHECK_THROWS_AS(verify(twice), Error);
  Graph missing = graph;
  missing.outputs[0].value = missing.add_value("never");
  CHECK_THROWS_AS(verify(missing), Error);
}

TEST_CASE("graph: an attribute of another type is an error that names it") {
  Node node;
  node.name = "n";
  node.op = "Conv";
  node.attributes["group"] = std::string("two");
  CHECK(node.integer("absent", 5) == 5);
  try {
    node.integer("group", 1);
    FAIL("expected an error");
  } catch (const Error& error) {
    CHECK(std::string(error.what()) == "Conv node 'n': attribute 'group' is not an integer");
  }
}
