#include <doctest/doctest.h>

#include "compress/observers.hpp"
#include "compress/qdq_placement.hpp"
#include "tests/support/graph_builder.hpp"

namespace pare::test {
namespace {

// Conv -> x * Clip(x + 3, 0, 6) / 6 -> Conv; `also` names an operator that reads the first Conv, too.
Graph hard_swish(const std::string& also) {
  GraphBuilder b;
  const ValueId x = b.input("x", {-1, 2, 4, 4});
  const ValueId conv = b.node("Conv", {x, b.weight("first", {2, 2, 1, 1})});
  const ValueId sum = b.node("Add", {conv, b.filled("three", {1}, 3)});
  const ValueId clip = b.node("Clip", {sum, b.filled("zero", {}, 0), b.filled("six", {}, 6)});
  ValueId y = b.node("Div", {b.node("Mul", {conv, clip}), b.filled("divisor", {}, 6)});
  y = b.node("Conv", {y, b.weight("second", {2, 2, 1, 1})});
  if (!also.empty()) y = b.node("Add", {y, b.node(also, {conv})});
  return b.finish(b.node("Relu", {y}));
}

const QuantPlace* place_of(const QuantPlacement& placement, const Graph& graph, const std::string& name) {
  return placement.find(graph.find(name));
}

}  // namespace

TEST_CASE("saturation: a written HardSwish is one function of values from -3, with nothing rounded inside") {
  const Graph graph = hard_swish("");
  const QuantPlacement placement = place_quantization(graph, [](const std::string&) { return true; });
  CHECK(place_of(placement, graph, "Conv_0_out")->limits.low == -3);
  CHECK(place_of(placement, graph, "Conv_0_out")->limits.high > 1e30f);
  CHECK(place_of(placement, graph, "Clip_2_out") == nullptr);
  CHECK(place_of(placement, graph, "Mul_3_out") == nullptr);
  CHECK(place_of(placement, graph, "Div_4_out") != nullptr);
}

TEST_CASE("saturation: another reader sees the whole range, HardSigmoid and Relu only theirs") {
  const Graph all = hard_swish("Tanh"), gate = hard_swish("HardSigmoid"), positive = hard_swish("Relu");
  CHECK(Saturation(all).limits(all.find("Conv_0_out")).low < -1e30f);
  CHECK(Saturation(gate).limits(gate.find("Conv_0_out")).low == -3);
  CHECK(Saturation(positive).limits(positive.find("Conv_0_out")).low == -3);
  CHECK(Saturation(all).limits(all.outputs[0].value).low < -1e30f);
}

TEST_CASE("saturation: values beyond the limits count as if at them") {
  const float values[] = {-100, -5, -1, 0.5f, 2, 9};
  kernels::Histogram histogram;
  kernels::observe_histogram({}, {values, kernels::FloatType::fp32, 6}, &histogram);
  const kernels::Histogram cut = limited(histogram, -3, 4);
  CHECK(cut.range.minimum() == -3);
  CHECK(cut.range.maximum() == 4);
  unsigned long long total = 0;
  for (const auto count : cut.counts) total += count;
  CHECK(total == 6);
  const ObservedRange range = choose_range(cut, {CalibrationMethod::mse}, {});
  CHECK(range.low >= -3);
  CHECK(range.high <= 4);
}

}  // namespace pare::test
