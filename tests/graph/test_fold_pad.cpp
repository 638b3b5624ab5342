#include <doctest/doctest.h>

#include "src/graph/passes/fold_pad.hpp"
#include "tests/support/graph_builder.hpp"

namespace pare::test {
namespace {

Graph padded(std::vector<int64_t> pads, float fill, const std::string& mode = "constant") {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 3, 4, 4});
  const ValueId list = b.constant("pads", Tensor::of<int64_t>(DType::int64, {8}, pads));
  const ValueId y = b.node("Pad", {x, list, b.filled("fill", {}, fill)}, {{"mode", mode}});
  return b.finish(b.node("Conv", {y, b.weight("w", {2, 3, 3, 3})}, {{"pads", std::vector<int64_t>{0, 1, 0, 0}}}));
}

}  // namespace

TEST_CASE("fold_pad: zeros around height and width become the convolution's") {
  Graph graph = padded({0, 0, 1, 2, 0, 0, 3, 4}, 0);
  CHECK(fold_pad(graph) == 1);
  REQUIRE(graph.nodes.size() == 1);
  CHECK(graph.nodes[0].integers("pads", {}) == std::vector<int64_t>{1, 3, 3, 4});
  CHECK(graph.nodes[0].inputs[0] == graph.inputs[0].value);
  verify(graph);
}

TEST_CASE("fold_pad: other padding stays") {
  for (Graph graph : {padded({0, 0, 1, 1, 0, 0, 1, 1}, 0.5f), padded({0, 1, 1, 1, 0, 0, 1, 1}, 0),
                      padded({0, 0, 1, 1, 0, 0, 1, 1}, 0, "reflect"), padded({0, 0, -1, 1, 0, 0, 1, 1}, 0)})
    CHECK(fold_pad(graph) == 0);
}

}  // namespace pare::test
