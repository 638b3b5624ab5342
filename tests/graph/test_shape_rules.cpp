#include <doctest/doctest.h>

#include "src/core/error.hpp"
#include "src/graph/shape_rules.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

using Ints = std::vector<int64_t>;

Shape shape_of_output(Graph graph) {
  infer_shapes(graph);
  return graph.value(graph.outputs.front().value).shape.value();
}

}  // namespace

TEST_CASE("shape_rules: a whole CNN, with an unknown batch") {
  Graph graph = test::small_cnn();
  CHECK(shape_of_output(graph) == Shape{-1, 3});
}

TEST_CASE("shape_rules: convolution with strides, dilations and asymmetric pads") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {1, 2, 11, 10});
  const ValueId y = b.node("Conv", {x, b.weight("w", {4, 2, 3, 3})},
                           {{"strides", Ints{2, 1}}, {"dilations", Ints{1, 2}}, {"pads", Ints{1, 0, 0, 3}}});
  CHECK(shape_of_output(b.finish(y)) == Shape{1, 4, 5, 9});
}

TEST_CASE("shape_rules: pooling in ceil mode drops a window that starts in the padding") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {1, 1, 2, 3});
  const ValueId y = b.node(
      "MaxPool", {x},
      {{"kernel_shape", Ints{1, 2}}, {"strides", Ints{2, 2}}, {"pads", Ints{0, 0, 0, 1}}, {"ceil_mode", int64_t{1}}});
  CHECK(shape_of_output(b.finish(y)) == Shape{1, 1, 1, 2});
}

TEST_CASE("shape_rules: reshape infers, copies and checks") {
  const auto reshaped = [](const Ints& target) {
    test::GraphBuilder b;
    const ValueId x = b.input("x", {2, 3, 4});
    const ValueId shape = b.constant("shape", Tensor::of(DType::int64, {static_cast<int64_t>(target.size())}, target));
    return shape_of_output(b.finish(b.node("Reshape", {x, shape})));
  };
  CHECK(reshaped({0, -1}) == Shape{2, 12});
  CHECK(reshaped({-1}) == Shape{24});
  CHECK(reshaped({4, 6}) == Shape{4, 6});
  CHECK_THROWS_AS(reshaped({5, 5}), Error);
}

TEST_CASE("shape_rules: matrix products broadcast and take vectors") {
  const auto product = [](Shape a, Shape b) {
    test::GraphBuilder builder;
    const ValueId x = builder.input("a", std::move(a));
    const ValueId y = builder.input("b", std::move(b));
    return shape_of_output(builder.finish(builder.node("MatMul", {x, y})));
  };
  CHECK(product({2, 1, 3, 4}, {5, 4, 6}) == Shape{2, 5, 3, 6});
  CHECK(product({4}, {4, 6}) == Shape{6});
  CHECK(product({3, 4}, {4}) == Shape{3});
  CHECK(product({4}, {4}) == Shape{});
  CHECK_THROWS_AS(product({3, 4}, {5, 6}), Error);
}

TEST_CASE("shape_rules: channels that do not fit the weight are named") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {1, 3, 8, 8});
  const Graph graph = b.finish(b.node("Conv", {x, b.weight("w", {4, 2, 3, 3})}));
  try {
    shape_of_output(graph);
    FAIL("expected an error");
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find("got 3, expected 2") != std::string::npos);
  }
}
