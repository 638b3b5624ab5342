#include <doctest/doctest.h>

#include "src/graph/element_types.hpp"
#include "src/graph/shape_rules.hpp"
#include "tests/support/graph_builder.hpp"

// Every operator's types are compared with those of a run in tests/exec/test_conformance.py, and with
// onnx.shape_inference in tests/exec/test_element_types.py.
namespace pare::test {

TEST_CASE("element_types: a declared type that the operators contradict is replaced") {
  GraphBuilder b;
  const ValueId x = b.input("x", {3});
  Graph graph = b.finish(b.node("Less", {b.node("Exp", {x}), x}));
  graph.value(graph.outputs[0].value).dtype = DType::float32;
  infer_shapes(graph);
  CHECK(graph.value(graph.nodes[0].outputs[0]).dtype == DType::float32);
  CHECK(graph.value(graph.outputs[0].value).dtype == DType::boolean);
}

TEST_CASE("element_types: outputs that the file leaves open are completed, through the bodies of nodes too") {
  GraphBuilder inner;
  const ValueId given = inner.input("given", {3});
  const auto body = std::make_shared<Graph>(inner.finish(inner.node("Cast", {given}, {{"to", int64_t{11}}})));
  GraphBuilder b;
  const ValueId x = b.input("x", {3}), condition = b.input("condition", {}, DType::boolean);
  Graph graph =
      b.finish(b.node("If", {condition, x}, {{"then_branch", Subgraph(body)}, {"else_branch", Subgraph(body)}}));
  graph.nodes[0].captured = 1;
  complete_output_types(graph);
  CHECK(graph.value(graph.outputs[0].value).dtype == DType::float64);
}

TEST_CASE("element_types: of a QGemm, the zero point of the result tells") {
  GraphBuilder b;
  const auto byte = [&](const char* name, DType type) { return b.constant(name, Tensor::of<uint8_t>(type, {}, {3})); };
  const ValueId a = b.input("a", {2, 3}, DType::uint8), w = b.input("w", {3, 4}, DType::int8);
  const ValueId scale = b.filled("scale", {}, 0.5f), zero = byte("zero", DType::uint8),
                middle = byte("middle", DType::int8);
  std::vector<ValueId> inputs{a, scale, zero, w, scale, middle};
  const ValueId real = b.node("QGemm", inputs, {}, "com.microsoft");
  inputs.insert(inputs.end(), {no_value, scale, middle});
  Graph graph = b.finish(b.node("QGemm", inputs, {}, "com.microsoft"));
  infer_shapes(graph);
  CHECK(graph.value(real).dtype == DType::float32);
  CHECK(graph.value(graph.outputs[0].value).dtype == DType::int8);
  CHECK((graph.value(real).shape == Shape{2, 4}));
}

}  // namespace pare::test
