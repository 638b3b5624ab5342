#include <doctest/doctest.h>

#include "src/graph/passes/fold_scaling.hpp"
#include "src/graph/shape_rules.hpp"
#include "tests/support/graph_builder.hpp"

namespace pare::test {
namespace {

std::vector<float> values_of(const Graph& graph, ValueId id) { return graph.value(id).constant->as<float>(); }

ValueId vector_of(GraphBuilder& b, const std::string& name, Shape shape, std::vector<float> values) {
  return b.constant(name, Tensor::of(DType::float32, std::move(shape), values));
}

}  // namespace

TEST_CASE("fold_scaling: numbers and channels behind a convolution become its weight and bias") {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 1, 4, 4});
  ValueId y = b.node("Conv", {x, vector_of(b, "w", {2, 1, 1, 1}, {1, 2}), vector_of(b, "bias", {2}, {10, 20})});
  y = b.node("Mul", {b.filled("half", {1}, 0.5f), y});
  y = b.node("Add", {y, vector_of(b, "shift", {1, 2, 1, 1}, {3, 4})});
  y = b.node("Sub", {b.filled("one", {}, 1), y});
  Graph graph = b.finish(b.node("Relu", {y}));
  infer_shapes(graph);
  CHECK(fold_scaling(graph) == 3);
  verify(graph);
  REQUIRE(graph.nodes.size() == 2);
  // 1 - (0.5 (w x + bias) + shift)
  CHECK((values_of(graph, graph.find("w")) == std::vector<float>{-0.5f, -1}));
  CHECK((values_of(graph, graph.find("bias")) == std::vector<float>{-7, -13}));
}

TEST_CASE("fold_scaling: a MatMul keeps the addition of its bias, and both take the factor behind it") {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 5, 1});
  ValueId y = b.node("MatMul", {x, vector_of(b, "w", {1, 2}, {1, 2})});
  y = b.node("Add", {vector_of(b, "bias", {2}, {3, 4}), y});
  y = b.node("Div", {y, vector_of(b, "divisor", {2}, {2, 4})});
  Graph graph = b.finish(b.node("Relu", {y}));
  infer_shapes(graph);
  CHECK(fold_scaling(graph) == 1);
  CHECK((values_of(graph, graph.find("w")) == std::vector<float>{0.5f, 0.5f}));
  CHECK((values_of(graph, graph.find("bias")) == std::vector<float>{1.5f, 1}));
}

TEST_CASE("fold_scaling: reshaped constants are constants, and a bias is made where there was none") {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 1, 4, 4});
  ValueId y = b.node("Conv", {x, vector_of(b, "w", {2, 1, 1, 1}, {1, 2})});
  const ValueId shape = b.constant("shape", Tensor::of<int64_t>(DType::int64, {4}, {1, 2, 1, 1}));
  y = b.node("Add", {y, b.node("Reshape", {vector_of(b, "offset", {2}, {5, 6}), shape})});
  Graph graph = b.finish(b.node("Relu", {y}));
  infer_shapes(graph);
  CHECK(fold_scaling(graph) == 2);
  CHECK((values_of(graph, graph.nodes[0].inputs.at(2)) == std::vector<float>{5, 6}));
}

TEST_CASE("fold_scaling: other constants, shared weights, results with other readers and outputs stay") {
  const auto count = [](const Shape& shape, bool two_readers, bool output) {
    GraphBuilder b;
    const ValueId x = b.input("x", {-1, 2, 2, 2});
    const ValueId conv = b.node("Conv", {x, b.weight("w", {2, 2, 1, 1})});
    const ValueId product = b.node("Mul", {conv, b.filled("factor", shape, 2)});
    if (output)
      return [&] {
        Graph graph = b.finish(product);
        graph.outputs.push_back({conv, {}, false});
        infer_shapes(graph);
        return fold_scaling(graph);
      }();
    Graph graph = b.finish(two_readers ? b.node("Add", {product, conv}) : b.node("Relu", {product}));
    infer_shapes(graph);
    return fold_scaling(graph);
  };
  CHECK(count({1, 2, 1, 1}, false, false) == 1);
  CHECK(count({2}, false, false) == 0);           // along the width
  CHECK(count({1, 2, 2, 1}, false, false) == 0);  // a row and a channel
  CHECK(count({}, true, false) == 0);
  CHECK(count({}, false, true) == 0);
}

}  // namespace pare::test
