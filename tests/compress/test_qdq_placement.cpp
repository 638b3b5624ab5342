#include <doctest/doctest.h>

#include "compress/qdq_placement.hpp"
#include "tests/support/graph_builder.hpp"

namespace pare::test {
namespace {

bool all_weights(const std::string&) { return true; }

// "x | conv1* | ...": the values of the places in order, weights with *, those that share a scale with =.
std::string places_of(const Graph& graph, const Placement& placement) {
  std::string text;
  for (const QuantPlace& place : placement.places) {
    text += text.empty() ? "" : " ";
    text += graph.value(place.value).name;
    if (place.kind == QuantPlace::Kind::weight) text += "*";
    if (place.same_as != no_value) text += "=" + graph.value(place.same_as).name;
  }
  return text;
}

}  // namespace

TEST_CASE(
    "qdq_placement: one place behind convolution, normalisation and Relu; moved values share it; none at the end") {
  const Graph graph = small_cnn();
  const Placement placement = place_quantization(graph, all_weights);
  // The Add of a constant behind the second convolution has no integer form: it stays float, and so does what follows,
  // until the last layer reads it.
  CHECK(places_of(graph, placement) ==
        "x conv1* Relu_2_out MaxPool_3_out=Relu_2_out conv2* Conv_4_out Flatten_8_out fc*");
  CHECK(placement.find(graph.find("Relu_2_out"))->non_negative);
  CHECK(placement.find(graph.find("MaxPool_3_out"))->non_negative);
  CHECK_FALSE(placement.find(graph.find("x"))->non_negative);
  CHECK(placement.find(graph.find("conv1"))->axis == 0);
  REQUIRE(placement.layers.size() == 3);
  CHECK(placement.layers[2].bias == graph.find("fc.bias"));
  CHECK(placement.layers[1].input == graph.find("MaxPool_3_out"));
}

TEST_CASE("qdq_placement: the first and last layer's weights and inputs are outer") {
  const Graph graph = small_cnn();
  std::string outer;
  for (const QuantPlace& place : place_quantization(graph, all_weights).places)
    if (place.outer) outer += graph.value(place.value).name + " ";
  CHECK(outer == "x conv1 Flatten_8_out fc ");
}

TEST_CASE("qdq_placement: a residual sum is quantized with all its inputs; a deselected layer stays float") {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 4, 6, 6});
  const std::map<std::string, Attribute, std::less<>> same{{"pads", std::vector<int64_t>{1, 1, 1, 1}}};
  const ValueId first = b.node("Relu", {b.node("Conv", {x, b.weight("a", {4, 4, 3, 3})}, same)});
  const ValueId second = b.node("Conv", {first, b.weight("b", {4, 4, 3, 3})}, same);
  const ValueId sum = b.node("Relu", {b.node("Add", {first, second})});
  const ValueId flat = b.node("Flatten", {b.node("GlobalAveragePool", {sum})});
  const Graph graph = b.finish(b.node("Gemm", {flat, b.weight("c", {4, 3})}));
  CHECK(places_of(graph, place_quantization(graph, all_weights)) ==
        "x a* Relu_1_out b* Conv_2_out Relu_4_out GlobalAveragePool_5_out Flatten_6_out=GlobalAveragePool_5_out c*");
  CHECK(place_quantization(graph, all_weights).find(graph.find("c"))->axis == 1);
  const Placement without = place_quantization(graph, [](const std::string& name) { return name != "b"; });
  CHECK(places_of(graph, without) == "x a* Relu_1_out Flatten_6_out c*");
  CHECK(without.layers.size() == 2);
}

TEST_CASE("qdq_placement: MatMul takes its bias and Relu along; what Softmax reads stays float") {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 8});
  ValueId y = b.node("MatMul", {x, b.weight("w", {8, 8})});
  y = b.node("Relu", {b.node("Add", {b.weight("bias", {8}), y})});
  const ValueId scores = b.node("MatMul", {y, b.weight("v", {8, 8})});
  const ValueId shares = b.node("Softmax", {scores});
  const Graph graph = b.finish(b.node("MatMul", {shares, b.weight("u", {8, 2})}));
  const Placement placement = place_quantization(graph, all_weights);
  CHECK(places_of(graph, placement) == "x w* Relu_2_out v* Softmax_4_out u*");
  CHECK(placement.layers[0].bias == graph.find("bias"));
  CHECK(placement.find(graph.find("w"))->axis == 1);
}

TEST_CASE("qdq_placement: integer inputs, other types and shared weights stay as they are") {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 8});
  const ValueId w = b.weight("w", {8, 8});
  const Graph graph = b.finish(b.node("MatMul", {b.node("MatMul", {x, w}), w}));
  CHECK(place_quantization(graph, all_weights).places.empty());
  GraphBuilder half;
  const ValueId h = half.input("h", {-1, 2}, DType::float16);
  const Graph other = half.finish(half.node("MatMul", {h, half.weight("w", {2, 2})}));
  CHECK(place_quantization(other, all_weights).places.empty());
}

}  // namespace pare::test
