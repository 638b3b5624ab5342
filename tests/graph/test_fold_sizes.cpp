#include <doctest/doctest.h>

#include "src/core/error.hpp"
#include "src/graph/input_shapes.hpp"
#include "src/graph/passes/fold_sizes.hpp"
#include "src/graph/passes/run_pass.hpp"
#include "src/graph/shape_rules.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

using Ints = std::vector<int64_t>;

ValueId list(test::GraphBuilder& b, const std::string& name, const Ints& values) {
  return b.constant(name, Tensor::of(DType::int64, {static_cast<int64_t>(values.size())}, values));
}

ValueId number(test::GraphBuilder& b, const std::string& name, int64_t value) {
  return b.constant(name, Tensor::of<int64_t>(DType::int64, {}, {value}));
}

// The output's elements after folding; the graph must be without nodes.
Ints folded(Graph graph) {
  run_pass(graph, "fold", fold_sizes);
  REQUIRE(graph.nodes.empty());
  return to_int64(graph.value(graph.outputs.front().value).constant.value());
}

}  // namespace

TEST_CASE("fold_sizes: the sizes of a Reshape as exporters compute them") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {-1, 6, 4});
  const ValueId shape = b.node("Shape", {x});
  const ValueId batch = b.node("Unsqueeze", {b.node("Gather", {shape, number(b, "0", 0)}), list(b, "axis", {0})});
  const ValueId rows = b.node("Gather", {shape, number(b, "1", 1)});
  const ValueId half = b.node("Unsqueeze", {b.node("Div", {rows, number(b, "2", 2)}), list(b, "axes", {0})});
  const ValueId target = b.node("Concat", {batch, half, list(b, "rest", {-1})}, {{"axis", int64_t{0}}});
  Graph graph = b.finish(b.node("Reshape", {x, target}));
  run_pass(graph, "fold", fold_sizes);
  // The batch stays computed, the number of rows does not.
  CHECK(graph.value(graph.outputs[0].value).shape.value() == Shape{-1, 3, -1});
  CHECK(graph.nodes.size() == 5);
  set_input_shapes(graph, {{"x", {5, 6, 4}}});
  run_pass(graph, "fold", fold_sizes);
  CHECK(graph.nodes.size() == 1);
  CHECK(graph.value(graph.outputs[0].value).shape.value() == Shape{5, 3, 8});
}

TEST_CASE("fold_sizes: arithmetic wraps, divides toward zero and takes the divisor's sign") {
  const auto binary = [](const std::string& op, const Ints& a, const Ints& b) {
    test::GraphBuilder builder;
    return folded(builder.finish(builder.node(op, {list(builder, "a", a), list(builder, "b", b)})));
  };
  CHECK(binary("Add", {std::numeric_limits<int64_t>::max(), 2}, {1}) == Ints{std::numeric_limits<int64_t>::min(), 3});
  CHECK(binary("Div", {-7, 7}, {2}) == Ints{-3, 3});
  CHECK(binary("Mod", {-7, 7, -6}, {3, -3, 3}) == Ints{2, -2, 0});
  CHECK(binary("Pow", {2, 3}, {10, 3}) == Ints{1024, 27});
  CHECK(binary("Equal", {1, 2, 3}, {2}) == Ints{0, 1, 0});
  CHECK(binary("Max", {1, 5}, {3}) == Ints{3, 5});
}

TEST_CASE("fold_sizes: a division by zero stays for the run") {
  test::GraphBuilder b;
  Graph graph = b.finish(b.node("Div", {list(b, "a", {1}), list(b, "b", {0})}));
  CHECK(run_pass(graph, "fold", fold_sizes) == 0);
}

TEST_CASE("fold_sizes: slices, also backwards and beyond the ends") {
  const auto sliced = [](const Ints& start, const Ints& end, const Ints& step) {
    test::GraphBuilder b;
    const ValueId x = list(b, "x", {0, 1, 2, 3, 4, 5});
    return folded(b.finish(b.node(
        "Slice", {x, list(b, "start", start), list(b, "end", end), list(b, "axes", {0}), list(b, "step", step)})));
  };
  constexpr int64_t far = std::numeric_limits<int64_t>::max();
  CHECK(sliced({-2}, {far}, {1}) == Ints{4, 5});
  CHECK(sliced({-99}, {4}, {2}) == Ints{0, 2});
  CHECK(sliced({far}, {-far}, {-2}) == Ints{5, 3, 1});
  CHECK(sliced({3}, {-far}, {-1}) == Ints{3, 2, 1, 0});
}

TEST_CASE("fold_sizes: movement of elements") {
  test::GraphBuilder b;
  const ValueId matrix = b.node("Reshape", {list(b, "x", {1, 2, 3, 4, 5, 6}), list(b, "shape", {2, 3})});
  const ValueId turned = b.node("Transpose", {matrix});
  const ValueId picked = b.node("Gather", {turned, list(b, "rows", {2, -3})}, {{"axis", int64_t{0}}});
  const ValueId joined = b.node("Concat", {picked, picked}, {{"axis", int64_t{1}}});
  CHECK(folded(b.finish(joined)) == Ints{3, 6, 3, 6, 1, 4, 1, 4});
}

TEST_CASE("fold_sizes: an index beyond the end is an error that names the node") {
  test::GraphBuilder b;
  Graph graph = b.finish(b.node("Gather", {list(b, "x", {1, 2}), number(b, "i", 2)}));
  CHECK_THROWS_WITH_AS(fold_sizes(graph), "Gather node 'Gather_0': an index is out of range (got 2, size 2)", Error);
}

TEST_CASE("fold_sizes: arange as NonZero of ones, and masks by Where") {
  test::GraphBuilder b;
  const Tensor one = Tensor::of<int64_t>(DType::int64, {1}, {1});
  const ValueId ones = b.node("ConstantOfShape", {list(b, "count", {4})}, {{"value", one}});
  const ValueId row = b.node("Squeeze", {b.node("NonZero", {ones}), list(b, "axis", {0})});
  const ValueId column = b.node("Unsqueeze", {row, list(b, "axes", {1})});
  const ValueId later = b.node("Less", {column, row});
  const ValueId mask = b.node("Where", {later, number(b, "yes", 1), number(b, "no", 0)});
  CHECK(folded(b.finish(b.node("ReduceSum", {mask}))) == Ints{6});
}

TEST_CASE("fold_sizes: sizes by way of floats, as Resize wants them") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {1, 1, 5, 7});
  const ValueId sizes = b.node("Cast", {b.node("Shape", {x})}, {{"to", int64_t{1}}});
  const ValueId scaled = b.node("Mul", {sizes, b.constant("s", Tensor::of<float>(DType::float32, {}, {1.5f}))});
  CHECK(folded(b.finish(b.node("Cast", {b.node("Floor", {scaled})}, {{"to", int64_t{7}}}))) == Ints{1, 1, 7, 10});
}

TEST_CASE("fold_sizes: what training may change stays computed, and gives sizes all the same") {
  test::GraphBuilder b;
  const ValueId sum = b.node("Add", {b.weight("a", {3}), b.weight("b", {3})});
  Graph graph = b.finish(sum);
  CHECK(run_pass(graph, "fold", fold_sizes) == 0);
  CHECK(graph.value(sum).shape.value() == Shape{3});
  test::GraphBuilder c;
  const ValueId factors = c.constant("factors", Tensor::of<float>(DType::float32, {2}, {2, 3}));
  const ValueId sizes = c.node("Cast", {factors}, {{"to", int64_t{7}}});
  CHECK(folded(c.finish(sizes)) == Ints{2, 3});
}

TEST_CASE("fold_sizes: a value of many elements stays computed") {
  test::GraphBuilder b;
  Graph graph = b.finish(b.node("ConstantOfShape", {list(b, "shape", {1000, 1000})}));
  CHECK(run_pass(graph, "fold", fold_sizes) == 0);
  CHECK(graph.value(graph.outputs[0].value).shape.value() == Shape{1000, 1000});
}

TEST_CASE("remove_dead_nodes: chains that nobody reads go, side outputs stay") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {2, 2});
  b.node("Exp", {b.node("Relu", {x})});
  Graph graph = b.finish(b.node("Sigmoid", {x}));
  CHECK(run_pass(graph, "dead", remove_dead_nodes) == 2);
  CHECK(graph.nodes.size() == 1);
}

TEST_CASE("remove_identities: readers move to the source, one that names an output stays") {
  test::GraphBuilder b;
  const ValueId x = b.input("x", {2, 2});
  const ValueId first = b.node("Identity", {x});
  const ValueId second = b.node("Identity", {first});
  const ValueId y = b.node("Relu", {second});
  Graph graph = b.finish(b.node("Identity", {y}));
  CHECK(run_pass(graph, "identities", remove_identities) == 2);
  REQUIRE(graph.nodes.size() == 2);
  CHECK(graph.nodes[0].inputs == std::vector<ValueId>{x});
}

TEST_CASE("run_pass: a pass that breaks the graph is an error of the pass") {
  test::GraphBuilder b;
  Graph graph = b.finish(b.node("Relu", {b.input("x", {1})}));
  const auto broken = [](Graph& g) {
    g.nodes.clear();
    return 1;
  };
  CHECK_THROWS_WITH_AS(run_pass(graph, "vandal", broken),
                       "the pass 'vandal' broke the graph: graph: output 'Relu_0_out' is not produced", Error);
}

TEST_CASE("input_shapes: text, unknown names and contradictions") {
  CHECK((parse_input_shapes({"a=b=1x3x2", "c=4"}) == InputShapes{{"a=b", {1, 3, 2}}, {"c", {4}}}));
  for (const char* text : {"x", "=1", "x=1x", "x=1xx2", "x=0", "x=-1", "x=ax2", "x=1.5"})
    CHECK_THROWS_AS(parse_input_shapes({text}), Error);
  test::GraphBuilder b;
  Graph graph = b.finish(b.node("Relu", {b.input("x", {-1, 3})}));
  CHECK_THROWS_WITH_AS(set_input_shapes(graph, {{"y", {1, 3}}}),
                       "--shape: the model has no input 'y' (expected one of x)", Error);
  CHECK_THROWS_WITH_AS(set_input_shapes(graph, {{"x", {1, 4}}}),
                       "input 'x': the shape does not fit the model's (got 1x4, expected ?x3)", Error);
}
