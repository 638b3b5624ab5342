#include <cmath>

#include <ATen/ops/amax.h>
#include <ATen/ops/randn.h>
#include <doctest/doctest.h>

#include "compress/equalize.hpp"
#include "compress/shrink_proof.hpp"
#include "compress/value_absmax.hpp"
#include "src/graph/shape_rules.hpp"
#include "tests/support/graph_builder.hpp"

namespace pare::test {
namespace {

using Attributes = std::map<std::string, Attribute, std::less<>>;

const Attributes same_pads = {{"pads", std::vector<int64_t>{1, 1, 1, 1}}};

// 1x1 convolution -> Relu -> depthwise -> `between` -> grouped -> LeakyRelu -> MaxPool -> Flatten -> Gemm.
Graph separable(const std::string& between) {
  GraphBuilder b;
  const ValueId x = b.input("x", {2, 3, 6, 6});
  ValueId y = b.node("Conv", {x, b.weight("expand", {8, 3, 1, 1}, 2), b.weight("expand_bias", {8})});
  Attributes depthwise = same_pads, grouped;
  depthwise["group"] = int64_t{8};
  grouped["group"] = int64_t{2};
  y = b.node("Conv", {b.node("Relu", {y}), b.weight("depthwise", {8, 1, 3, 3}, 0.1f)}, depthwise);
  y = b.node("Conv", {b.node(between, {y}), b.weight("project", {4, 4, 1, 1}), b.weight("project_bias", {4})}, grouped);
  y = b.node("LeakyRelu", {y});
  y = b.node("MaxPool", {y}, {{"kernel_shape", std::vector<int64_t>{2, 2}}, {"strides", std::vector<int64_t>{2, 2}}});
  y = b.node("Gemm", {b.node("Flatten", {y}), b.weight("dense", {36, 5})});
  Graph graph = b.finish(y);
  infer_shapes(graph);
  return graph;
}

double largest_difference(const Graph& before, const Graph& after) {
  const ShrinkProof proof = prove_shrink(before, after, random_inputs(before, 5));
  return proof.difference / proof.magnitude;
}

// Weights are rounded to float32 after they were scaled.
constexpr double of_rounding = 1e-6;

}  // namespace

TEST_CASE("equalize: spans reach through functions that let factors pass, and no further") {
  const Graph graph = separable("Relu");
  const auto spans = equalization_spans(graph);
  REQUIRE(spans.size() == 3);
  CHECK((spans[0].seconds.size() == 1 && spans[0].seconds[0].depthwise));
  CHECK(graph.value(spans[0].value).name == "Relu_1_out");
  CHECK((spans[1].layer->depthwise && spans[1].seconds[0].inputs == 8));
  CHECK((spans[2].channels == 4 && spans[2].seconds[0].inputs == 36));
  CHECK(equalization_spans(separable("HardSwish")).size() == 2);
  CHECK(equalization_spans(separable("Sigmoid")).size() == 2);
}

TEST_CASE("equalize: the outputs stay, and ranges of neighbours become equal") {
  const Graph before = separable("Relu");
  Graph after = before;
  const auto spans = equalization_spans(after);
  CHECK(equalize(after, spans) == 3);
  CHECK(largest_difference(before, after) < of_rounding);
  // The fixed point of the paper: r1 = r2 for every channel of every span.
  for (const EqualizationSpan& span : {spans[0], spans[1]}) {
    const auto first = output_absmax(after, *span.layer), second = input_absmax(after, span.seconds[0]);
    for (size_t c = 0; c < first.size(); ++c) CHECK(first[c] == doctest::Approx(second[c]).epsilon(0.02));
  }
}

TEST_CASE("equalize: by samples, ranges of what a depthwise convolution reads are half as far apart") {
  const Graph before = separable("Relu");
  Graph after = before;
  const auto spans = equalization_spans(after);
  const at::Tensor x = at::randn({2, 3, 6, 6});
  const auto measure = [&](const Graph& graph) {
    ValueAbsmax meter(std::map<ValueId, int64_t>{{spans[0].value, 1}});
    const Executor executor(graph);
    executor.run(Parameters(graph, at::kCPU, Training::off), {&x, 1}, false, &meter.observation());
    return meter.absmax();
  };
  const auto ranges = measure(before);
  CHECK(equalize(after, spans, &ranges) == 1);
  CHECK(largest_difference(before, after) < of_rounding);
  const auto equal = measure(after);
  REQUIRE(equal.at(spans[0].value).size() == 8);
  for (size_t c = 0; c < 8; ++c)
    CHECK(equal.at(spans[0].value)[c] == doctest::Approx(std::sqrt(ranges.at(spans[0].value)[c])).epsilon(1e-4));
}

TEST_CASE("equalize: constants behind a HardSwish take the factors of a depthwise convolution") {
  GraphBuilder b;
  const ValueId x = b.input("x", {2, 3, 5, 5});
  const ValueId y = b.node("Conv", {x, b.weight("w", {6, 3, 1, 1}, 3)});
  const ValueId three = b.filled("three", {}, 3), six = b.filled("six", {}, 6), zero = b.filled("zero", {}, 0);
  const ValueId gate = b.node("Clip", {b.node("Add", {y, three}), zero, six});
  const ValueId swish = b.node("Div", {b.node("Mul", {y, gate}), six});
  const ValueId moved =
      b.node("Add", {b.node("Mul", {b.filled("factor", {1}, 1.5f), swish}), b.filled("sum", {1}, -0.2f)});
  Attributes depthwise = same_pads;
  depthwise["group"] = int64_t{6};
  Graph before = b.finish(b.node("Conv", {moved, b.weight("v", {6, 1, 3, 3})}, depthwise));
  infer_shapes(before);
  const auto spans = equalization_spans(before);
  REQUIRE(spans.size() == 1);
  CHECK((spans[0].affine.size() == 2 && !spans[0].layer));
  Graph after = before;
  const std::map<ValueId, std::vector<float>> ranges{{spans[0].value, {1, 4, 0, 16, 0.25f, 100}}};
  CHECK(equalize(after, spans, &ranges) == 1);
  verify(after);
  CHECK(after.nodes.size() == before.nodes.size());
  CHECK(largest_difference(before, after) < of_rounding);
  const Tensor& factor = *after.value(after.find("factor_scaled")).constant;
  CHECK((factor.shape == Shape{6, 1, 1}));
  CHECK((factor.as<float>() == std::vector<float>{1.5f, 0.75f, 1.5f, 0.375f, 3, 0.15f}));
}

TEST_CASE("equalize: a gate's product passes the factors of one side, a product with itself does not") {
  for (const bool squared : {false, true}) {
    GraphBuilder b;
    const ValueId x = b.input("x", {1, 3, 4, 4});
    const ValueId y = b.node("Relu", {b.node("Conv", {x, b.weight("w", {4, 3, 1, 1}, 3)})});
    const ValueId gate =
        b.node("Sigmoid", {b.node("Conv", {b.node("GlobalAveragePool", {y}), b.weight("g", {4, 4, 1, 1}, 0.2f)})});
    const ValueId product = b.node("Mul", {y, squared ? y : gate});
    Graph before = b.finish(b.node("Conv", {product, b.weight("v", {2, 4, 1, 1})}));
    infer_shapes(before);
    const auto spans = equalization_spans(before);
    if (squared) {
      CHECK(spans.empty());
      continue;
    }
    REQUIRE(spans.size() == 1);
    CHECK(spans[0].seconds.size() == 2);
    Graph after = before;
    equalize(after, spans);
    CHECK(largest_difference(before, after) < of_rounding);
    CHECK(after.value(after.find("w")).constant->as<float>() != before.value(before.find("w")).constant->as<float>());
  }
}

TEST_CASE("equalize: what others see stays: outputs of the graph, shared weights, sums") {
  GraphBuilder b;
  const ValueId x = b.input("x", {1, 4});
  const ValueId shared = b.weight("shared", {4, 4});
  const ValueId y = b.node("MatMul", {b.node("MatMul", {x, shared}), shared});
  const ValueId z = b.node("MatMul", {y, b.weight("v", {4, 4})});
  const Graph graph = b.finish(b.node("MatMul", {b.node("Add", {z, x}), b.weight("u", {4, 4})}));
  CHECK(equalization_spans(graph).empty());
}

TEST_CASE("equalize: channels of zeros stay zeros") {
  GraphBuilder b;
  const ValueId x = b.input("x", {2, 4});
  std::vector<float> values(16, 0.5f);
  for (size_t i = 0; i < 16; i += 4) values[i] = 0;  // output 0
  const ValueId w = b.constant("w", Tensor::of(DType::float32, {4, 4}, values));
  const ValueId y = b.node("Relu", {b.node("Add", {b.node("MatMul", {x, w}), b.weight("b", {4})})});
  const Graph before = b.finish(b.node("MatMul", {y, b.weight("v", {4, 3}, 20)}));
  Graph after = before;
  CHECK(equalize(after, equalization_spans(after)) == 1);
  CHECK(largest_difference(before, after) < of_rounding);
  CHECK(after.value(after.find("b")).constant->as<float>()[0] ==
        before.value(before.find("b")).constant->as<float>()[0]);
}

}  // namespace pare::test
