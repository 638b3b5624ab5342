#include <doctest/doctest.h>
#include <fmt/format.h>

#include "src/core/error.hpp"
#include "src/graph/block_outputs.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

// A stem and `blocks` residual blocks of two convolutions, named "block1", "block2"...
Graph residual(int blocks) {
  test::GraphBuilder b;
  const std::vector<int64_t> same{1, 1, 1, 1};
  ValueId x =
      b.node("Relu", {b.node("Conv", {b.input("x", {-1, 2, 6, 6}), b.weight("stem", {4, 2, 3, 3})}, {{"pads", same}})});
  for (int i = 1; i <= blocks; ++i) {
    const auto name = [&](char layer) { return fmt::format("w{}{}", i, layer); };
    ValueId y = b.node("Relu", {b.node("Conv", {x, b.weight(name('a'), {4, 4, 3, 3})}, {{"pads", same}})});
    y = b.node("Conv", {y, b.weight(name('b'), {4, 4, 3, 3})}, {{"pads", same}});
    x = b.node("Relu", {b.node("Add", {y, x})});
  }
  return b.finish(b.node("Conv", {x, b.weight("head", {3, 4, 1, 1})}));
}

std::vector<std::string> names_of(const Graph& graph, const std::vector<ValueId>& values) {
  std::vector<std::string> names;
  for (const ValueId id : values) names.push_back(graph.value(id).name);
  return names;
}

}  // namespace

TEST_CASE("block_outputs: the ends of residual blocks, not what lies inside them") {
  const Graph graph = residual(3);
  // Nodes: Conv Relu | Conv Relu Conv Add Relu | ... : the stem's Relu is 1, the blocks' are 6, 11 and 16.
  CHECK(names_of(graph, block_outputs(graph, 8)) ==
        std::vector<std::string>{"Relu_1_out", "Relu_6_out", "Relu_11_out", "Relu_16_out"});
}

TEST_CASE("block_outputs: of many, the nearest to equal shares of the work") {
  const Graph graph = residual(9);
  const auto names = names_of(graph, block_outputs(graph, 3));
  REQUIRE(names.size() == 3);
  CHECK(names.back() == "Relu_46_out");
}

TEST_CASE("block_outputs: an input that lives throughout, as an attention mask does, hides nothing") {
  test::GraphBuilder b;
  const ValueId mask = b.node("Abs", {b.input("mask", {-1, 4})});
  ValueId x = b.input("x", {-1, 4});
  for (const char* name : {"a", "b", "c"}) x = b.node("Mul", {b.node("MatMul", {x, b.weight(name, {4, 4})}), mask});
  const Graph graph = b.finish(x);
  CHECK(names_of(graph, block_outputs(graph, 4)) == std::vector<std::string>{"Mul_2_out", "Mul_4_out"});
}

TEST_CASE("with_outputs: further outputs behind the model's own, an unknown name is refused with the nearest") {
  const Graph graph = residual(1);
  const Graph more = with_outputs(graph, {"Relu_1_out"});
  REQUIRE(more.outputs.size() == 2);
  CHECK(more.value(more.outputs[1].value).name == "Relu_1_out");
  CHECK_THROWS_WITH_AS(with_outputs(graph, {"Relu_1_uot"}), doctest::Contains("did you mean 'Relu_1_out'"), Error);
  CHECK_THROWS_AS(with_outputs(graph, {"stem"}), Error);
}
