#include <cmath>

#include <doctest/doctest.h>

#include "compress/qdq_insert.hpp"
#include "src/core/error.hpp"
#include "tests/support/graph_builder.hpp"

namespace pare::test {
namespace {

std::string ops_of(const Graph& graph) {
  std::string text;
  for (const Node& node : graph.nodes)
    text += (node.op == "QuantizeLinear" ? "Q" : node.op == "DequantizeLinear" ? "DQ" : node.op) + " ";
  return text;
}

const Tensor& constant(const Graph& graph, const std::string& name) {
  REQUIRE(graph.find(name) != no_value);
  return graph.value(graph.find(name)).constant.value();
}

QuantizedValues values_for(const Graph& graph, const QuantPlacement& placement, CodeForm form = {}) {
  QuantizedValues values;
  for (const QuantPlace& place : placement.places) {
    if (place.kind == QuantPlace::Kind::activation) {
      if (place.same_as == no_value) values.activations[place.value] = codes_of({-2, 2}, place.non_negative, form);
      continue;
    }
    const Tensor& tensor = *graph.value(place.value).constant;
    values.weights[place.value] =
        encode_nearest(finite_floats(tensor, "w"), {tensor.shape, static_cast<size_t>(place.axis), 0, false},
                       symmetric_codes(8), ScaleSearch::absmax);
  }
  return values;
}

Graph two_layers() {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 2, 6, 6});
  const ValueId y = b.node("Relu", {b.node("Conv", {x, b.weight("w", {4, 2, 3, 3}), b.weight("b", {4})})});
  const ValueId pooled = b.node("MaxPool", {y}, {{"kernel_shape", std::vector<int64_t>{2, 2}}});
  return b.finish(b.node("Conv", {pooled, b.weight("v", {3, 4, 1, 1})}));
}

bool all(const std::string&) { return true; }

}  // namespace

TEST_CASE("qdq_insert: pairs behind inputs, fused layers and moved values, the output keeps its name") {
  Graph graph = two_layers();
  const std::string output = graph.value(graph.outputs[0].value).name;
  const QuantPlacement placement = place_quantization(graph, all);
  insert_qdq(graph, placement, values_for(graph, placement));
  CHECK(ops_of(graph) == "DQ Q DQ DQ Conv Relu Q DQ MaxPool Q DQ DQ Conv Q DQ ");
  CHECK(graph.value(graph.outputs[0].value).name == output);
  CHECK(graph.nodes.back().outputs[0] == graph.outputs[0].value);
  // MaxPool's result has the constants of its input.
  CHECK(graph.nodes[9].inputs[1] == graph.nodes[6].inputs[1]);
  CHECK(graph.nodes[9].inputs[2] == graph.nodes[6].inputs[2]);
}

TEST_CASE("qdq_insert: int32 biases have the product of both scales, weights an explicit zero point of its shape") {
  Graph graph = two_layers();
  const auto bias = to_double(constant(graph, "b"));
  const QuantPlacement placement = place_quantization(graph, all);
  const QuantizedValues values = values_for(graph, placement);
  insert_qdq(graph, placement, values);
  const auto codes = to_int64(constant(graph, "b_codes"));
  const auto scales = to_double(constant(graph, "b_scale"));
  const auto weight_scales = to_double(constant(graph, "w_scale"));
  const float input_scale = values.activations.at(graph.find("x")).scale;
  CHECK(constant(graph, "b_codes").dtype == DType::int32);
  for (size_t c = 0; c < 4; ++c) {
    CHECK(scales[c] == double{input_scale * static_cast<float>(weight_scales[c])});
    CHECK(std::abs(static_cast<double>(codes[c]) * scales[c] - bias[c]) <= 0.5 * scales[c]);
  }
  CHECK(constant(graph, "w_zero_point").shape == constant(graph, "w_scale").shape);
  CHECK(constant(graph, "w_zero_point").dtype == DType::int8);
}

TEST_CASE("qdq_insert: with float biases nothing becomes int32, int8 activations have zero point 0") {
  Graph graph = two_layers();
  const QuantPlacement placement = place_quantization(graph, all);
  QuantizedValues values = values_for(graph, placement, {8, true});
  values.integer_bias = false;
  insert_qdq(graph, placement, values);
  CHECK(graph.find("b_codes") == no_value);
  CHECK(constant(graph, "x_zero_point").dtype == DType::int8);
  CHECK(to_int64(constant(graph, "x_zero_point")) == std::vector<int64_t>{0});
}

TEST_CASE("qdq_insert: codes below 8 bits are clipped between Q and DQ") {
  Graph graph = two_layers();
  const QuantPlacement placement = place_quantization(graph, all);
  insert_qdq(graph, placement, values_for(graph, placement, {4}));
  CHECK(ops_of(graph).find("Q Clip DQ ") != std::string::npos);
  const auto clip =
      std::find_if(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) { return node.op == "Clip"; });
  REQUIRE(clip != graph.nodes.end());
  CHECK(clip->inputs[2] == graph.find("code_15"));
  CHECK(constant(graph, "code_15").dtype == DType::uint8);
}

TEST_CASE("qdq_insert: a constant that is added becomes integers of the activations' type") {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 4, 6, 6});
  const ValueId y = b.node("Add", {b.node("Conv", {x, b.weight("w", {4, 4, 1, 1})}), b.weight("shift", {1, 4, 1, 1})});
  Graph graph = b.finish(b.node("Conv", {y, b.weight("v", {4, 4, 1, 1})}));
  const auto before = to_double(constant(graph, "shift"));
  const QuantPlacement placement = place_quantization(graph, all);
  REQUIRE(placement.constants.size() == 1);
  insert_qdq(graph, placement, values_for(graph, placement));
  const auto codes = to_int64(constant(graph, "shift_codes"));
  const double scale = to_double(constant(graph, "shift_scale"))[0];
  const auto zero = static_cast<double>(to_int64(constant(graph, "shift_zero_point"))[0]);
  for (size_t i = 0; i < 4; ++i)
    CHECK(std::abs((static_cast<double>(codes[i]) - zero) * scale - before[i]) <= 0.5001 * scale);
}

TEST_CASE("qdq_insert: a bias that is too large for int32 asks for a larger weight scale") {
  Graph graph = two_layers();
  Value& bias = graph.value(graph.find("b"));
  bias.constant = Tensor::of<float>(DType::float32, {4}, {1e6f, 0, -3, 0.5f});
  const QuantPlacement placement = place_quantization(graph, all);
  const auto least = least_weight_scales(graph, placement.layers[0], 1e-5f);
  CHECK(1e6 / (1e-5 * double{least[0]}) <= 2147483647.0);
  CHECK(least[1] == 0);
}

TEST_CASE("qdq_insert: a place without values is an error") {
  Graph graph = two_layers();
  const QuantPlacement placement = place_quantization(graph, all);
  QuantizedValues values = values_for(graph, placement);
  values.activations.erase(graph.find("x"));
  CHECK_THROWS_WITH_AS(insert_qdq(graph, placement, values), doctest::Contains("value 'x'"), Error);
}

}  // namespace pare::test
