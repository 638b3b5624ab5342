#include <cmath>

#include <doctest/doctest.h>

#include "compress/weight_only.hpp"
#include "src/core/error.hpp"
#include "tests/support/graph_builder.hpp"

namespace pare::test {
namespace {

WeightOnlyConfig blocks(int bits, int64_t block = 32) {
  return {bits, {Granularity::Kind::block, block}, ScaleSearch::mse, {}, {}, {}};
}

const Node& only(const Graph& graph, const std::string& op) {
  const Node* found = nullptr;
  for (const Node& node : graph.nodes)
    if (node.op == op) {
      REQUIRE(found == nullptr);
      found = &node;
    }
  REQUIRE(found != nullptr);
  return *found;
}

const Tensor& constant(const Graph& graph, ValueId id) { return graph.value(id).constant.value(); }

}  // namespace

TEST_CASE("weight-only: a Gemm with transB becomes blocks along K of [K,N], K not divided by the block") {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 77});
  Graph graph = b.finish(
      b.node("Gemm", {x, b.weight("w", {50, 77}), b.weight("bias", {50})}, {{"transB", int64_t{1}}, {"alpha", 0.5f}}));
  const Tensor before = constant(graph, graph.find("w"));
  const WeightOnlyResult result = quantize_weights_only(graph, blocks(4));
  REQUIRE(result.weights.size() == 1);
  const Node& dequantize = only(graph, "DequantizeLinear");
  const Node& gemm = only(graph, "Gemm");
  CHECK(gemm.inputs[1] == dequantize.outputs[0]);
  CHECK(gemm.integer("transB", 0) == 0);
  CHECK(gemm.real("alpha", 1) == 1);
  CHECK(dequantize.integer("axis", 1) == 0);
  CHECK(dequantize.integer("block_size", 0) == 32);
  CHECK(constant(graph, dequantize.inputs[0]).dtype == DType::int4);
  CHECK(constant(graph, dequantize.inputs[0]).shape == Shape{77, 50});
  CHECK(constant(graph, dequantize.inputs[1]).shape == Shape{3, 50});
  const std::vector<float> decoded = result.weights[0].encoded.decoded();
  const auto values = before.as<float>();
  for (size_t k = 0; k < 77; ++k)
    for (size_t n = 0; n < 50; ++n) {
      const float scale = result.weights[0].encoded.scale[k / 32 * 50 + n];
      REQUIRE(std::abs(decoded[k * 50 + n] - 0.5f * values[n * 77 + k]) <= 2.5f * scale);
    }
  CHECK(result.weights[0].snr_db > 18);
  check_weights(graph, result);
}

TEST_CASE("weight-only: an embedding is gathered as int8 and dequantized behind the Gather") {
  GraphBuilder b;
  const ValueId ids = b.input("ids", {-1, 8}, DType::int64);
  Graph graph = b.finish(b.node("Gather", {b.weight("table", {500, 16}), ids}));
  const ValueId output = graph.outputs[0].value;
  const WeightOnlyResult result = quantize_weights_only(graph, blocks(4));
  REQUIRE(result.weights.size() == 1);
  CHECK(result.weights[0].bits == 8);
  const Node& gather = only(graph, "Gather");
  const Node& dequantize = only(graph, "DequantizeLinear");
  CHECK(constant(graph, gather.inputs[0]).dtype == DType::int8);
  CHECK(dequantize.inputs[0] == gather.outputs[0]);
  CHECK(dequantize.outputs[0] == output);
  CHECK(dequantize.integer("axis", 1) == -1);
  check_weights(graph, result);
}

TEST_CASE("weight-only: a weight that two nodes read in one form is written once, in two forms it stays float") {
  for (const bool same : {true, false}) {
    GraphBuilder b;
    const ValueId x = b.input("x", {-1, 64});
    const ValueId w = b.weight("w", {64, 64});
    const ValueId y = b.node("MatMul", {x, w});
    Graph graph = b.finish(same ? b.node("MatMul", {y, w}) : b.node("Gemm", {y, w}, {{"transB", int64_t{1}}}));
    const WeightOnlyResult result = quantize_weights_only(graph, blocks(4));
    CHECK(result.weights.size() == (same ? 1 : 0));
    CHECK(result.kept.size() == (same ? 0 : 1));
    CHECK(graph.nodes.size() == (same ? 3 : 2));
    if (!same) CHECK(result.kept[0].reason.find("shared") != std::string::npos);
  }
}

TEST_CASE("weight-only: convolutions have a scale a channel, small weights stay float, and what is not selected") {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 16, 8, 8});
  const ValueId y = b.node("Conv", {x, b.weight("large", {32, 16, 3, 3})});
  Graph graph = b.finish(b.node("Conv", {y, b.weight("small", {1, 32, 1, 1})}));
  const Graph original = graph;
  const WeightOnlyResult result = quantize_weights_only(graph, blocks(2));
  REQUIRE(result.weights.size() == 1);
  CHECK(result.weights[0].encoded.scale.size() == 32);
  CHECK(only(graph, "DequantizeLinear").integer("axis", 7) == 0);
  REQUIRE(result.kept.size() == 1);
  CHECK(result.kept[0].name == "small");
  for (const uint8_t code : result.weights[0].encoded.codes) {
    const int value = static_cast<int8_t>(code);
    REQUIRE((value >= -2 && value <= 1));
  }
  Graph again = original;
  WeightOnlyConfig none = blocks(4);
  none.selected = [](const std::string&) { return false; };
  CHECK(quantize_weights_only(again, none).weights.empty());
}

TEST_CASE("weight-only: Relu and Clip behind a quantized product become Max and Min, which runtimes do not fuse") {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 64});
  ValueId y = b.node("Relu", {b.node("Add", {b.node("MatMul", {x, b.weight("w", {64, 48})}), b.weight("bias", {48})})});
  y = b.node("Clip",
             {b.node("MatMul", {y, b.weight("v", {48, 64})}), b.filled("low", {}, -1), b.filled("high", {}, 1)});
  Graph graph = b.finish(b.node("Relu", {y}));
  quantize_weights_only(graph, blocks(4));
  std::string ops;
  for (const Node& node : graph.nodes) ops += node.op + " ";
  CHECK(ops == "DequantizeLinear MatMul Add Max DequantizeLinear MatMul Max Min Relu ");
}

TEST_CASE("weight-only: NaN is refused by name, and a damaged result is found") {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 64});
  std::vector<float> values(64 * 64, 0.5f);
  values[70] = NAN;
  const ValueId w = b.constant("broken", Tensor::of(DType::float32, {64, 64}, values));
  Graph graph = b.finish(b.node("MatMul", {x, w}));
  CHECK_THROWS_WITH_AS(quantize_weights_only(graph, blocks(4)), doctest::Contains("tensor 'broken': element 70"),
                       Error);
  values[70] = 1;
  graph.value(w).constant = Tensor::of(DType::float32, {64, 64}, values);
  WeightOnlyResult result = quantize_weights_only(graph, blocks(4));
  check_weights(graph, result);
  result.weights[0].encoded.scale[3] *= 1.5f;
  CHECK_THROWS_AS(check_weights(graph, result), Error);
}

}  // namespace pare::test
