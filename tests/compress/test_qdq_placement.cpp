#include <doctest/doctest.h>

#include "compress/qdq_placement.hpp"
#include "tests/support/graph_builder.hpp"

namespace pare::test {
namespace {

bool all_weights(const std::string&) { return true; }

// "x | conv1* | ...": the values of the places in order, weights with *, those that share a scale with =.
std::string places_of(const Graph& graph, const QuantPlacement& placement) {
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
  const QuantPlacement placement = place_quantization(graph, all_weights);
  CHECK(places_of(graph, placement) ==
        "x conv1* Relu_2_out MaxPool_3_out=Relu_2_out conv2* Conv_4_out Relu_6_out GlobalAveragePool_7_out "
        "Flatten_8_out=GlobalAveragePool_7_out fc*");
  CHECK(placement.constants == std::vector<ValueId>{graph.find("offset")});
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
  CHECK(outer == "x conv1 GlobalAveragePool_7_out Flatten_8_out fc ");
}

TEST_CASE("qdq_placement: a residual sum is quantized with all its inputs, a deselected layer stays float") {
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
  const QuantPlacement without = place_quantization(graph, [](const std::string& name) { return name != "b"; });
  CHECK(places_of(graph, without) == "x a* Relu_1_out Flatten_6_out c*");
  CHECK(without.layers.size() == 2);
}

TEST_CASE("qdq_placement: MatMul takes its bias and Relu along, what Softmax reads stays float") {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 8});
  ValueId y = b.node("MatMul", {x, b.weight("w", {8, 8})});
  y = b.node("Relu", {b.node("Add", {b.weight("bias", {8}), y})});
  const ValueId scores = b.node("MatMul", {y, b.weight("v", {8, 8})});
  const ValueId shares = b.node("Softmax", {scores});
  const Graph graph = b.finish(b.node("MatMul", {shares, b.weight("u", {8, 2})}));
  const QuantPlacement placement = place_quantization(graph, all_weights);
  CHECK(places_of(graph, placement) == "x w* Relu_2_out v* Softmax_4_out u*");
  CHECK(placement.layers[0].bias == graph.find("bias"));
  CHECK(placement.find(graph.find("w"))->axis == 1);
}

TEST_CASE("qdq_placement: a sum in front of a later layer's input is found, the inside of Gelu and of norms is float") {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 8});
  const ValueId norm = b.node("LayerNormalization", {x, b.filled("gamma", {8}, 1)});
  const ValueId up = b.node("MatMul", {norm, b.weight("up", {8, 8})});
  const ValueId erf = b.node("Erf", {b.node("Mul", {up, b.filled("root", {}, 0.7f)})});
  const ValueId gelu = b.node("Mul", {up, b.node("Add", {erf, b.filled("one", {}, 1)})});
  const ValueId down = b.node("MatMul", {gelu, b.weight("down", {8, 8})});
  const ValueId sum = b.node("Add", {down, norm});  // the residual
  const Graph graph = b.finish(b.node("LayerNormalization", {sum, b.filled("gamma2", {8}, 1)}));
  CHECK(places_of(graph, place_quantization(graph, all_weights)) ==
        "LayerNormalization_0_out up* MatMul_1_out Mul_5_out down* MatMul_6_out Add_7_out");
  CHECK(place_quantization(graph, all_weights).constants.empty());
}

TEST_CASE("qdq_placement: attention: scores stay float, moved operands share a scale") {
  GraphBuilder b;
  const ValueId x = b.input("x", {1, 4, 8});
  const ValueId q = b.node("MatMul", {x, b.weight("q", {8, 8})});
  const ValueId k = b.node("MatMul", {x, b.weight("k", {8, 8})});
  const ValueId kt = b.node("Transpose", {k}, {{"perm", std::vector<int64_t>{0, 2, 1}}});
  const ValueId scores = b.node("Div", {b.node("MatMul", {q, kt}), b.filled("eight", {}, 2.8f)});
  const ValueId mixed = b.node("MatMul", {b.node("Softmax", {scores}), k});
  const Graph graph = b.finish(b.node("MatMul", {mixed, b.weight("o", {8, 8})}));
  CHECK(places_of(graph, place_quantization(graph, all_weights)) ==
        "x q* MatMul_0_out k* MatMul_1_out Transpose_2_out=MatMul_1_out Softmax_5_out MatMul_6_out o*");
}

TEST_CASE("qdq_placement: tensorrt has places in front of layers, and on the shortcut of a residual sum") {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 4, 6, 6});
  const std::map<std::string, Attribute, std::less<>> same{{"pads", std::vector<int64_t>{1, 1, 1, 1}}};
  const ValueId first = b.node("Relu", {b.node("Conv", {x, b.weight("a", {4, 4, 3, 3})}, same)});
  const ValueId second = b.node(
      "Conv",
      {b.node("Relu", {b.node("Conv", {first, b.weight("b", {4, 4, 3, 3})}, same)}), b.weight("c", {4, 4, 3, 3})},
      same);
  const Graph graph = b.finish(b.node("Relu", {b.node("Add", {first, second})}));
  CHECK(places_of(graph, place_quantization(graph, all_weights, QuantProfile::tensorrt)) ==
        "x a* Relu_1_out b* Relu_3_out c*");
}

TEST_CASE("qdq_placement: what is quantized already is not quantized again") {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 8});
  const ValueId scale = b.filled("scale", {}, 0.1f);
  const ValueId w =
      b.node("DequantizeLinear",
             {b.constant("codes", Tensor::of<int8_t>(DType::int8, {8, 8}, std::vector<int8_t>(64, 3))), scale});
  const ValueId y = b.node("DequantizeLinear", {b.node("QuantizeLinear", {x, scale}), scale});
  const Graph graph = b.finish(b.node("MatMul", {y, w}));
  CHECK(place_quantization(graph, all_weights).places.empty());
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
