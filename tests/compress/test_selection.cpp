#include <doctest/doctest.h>

#include "compress/selection.hpp"
#include "src/core/error.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

TEST_CASE("selection: all weights, by tensor or by node, minus what is excluded") {
  const Graph graph = test::small_cnn();
  using Names = std::set<std::string>;
  CHECK(select_weights(graph, {}, {}) == Names{"conv1", "conv2", "fc"});
  CHECK(select_weights(graph, {"conv*"}, {}) == Names{"conv1", "conv2"});
  CHECK(select_weights(graph, {"Gemm_*"}, {}) == Names{"fc"});
  CHECK(select_weights(graph, {}, {"conv1"}) == Names{"conv2", "fc"});
}

TEST_CASE("selection: a glob without a match is a usage error") {
  const Graph graph = test::small_cnn();
  CHECK_THROWS_AS(select_weights(graph, {"conv*", "dense*"}, {}), Error);
  CHECK_THROWS_AS(select_weights(graph, {}, {"scale"}), Error);
}
