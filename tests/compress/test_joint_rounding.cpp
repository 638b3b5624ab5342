#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <doctest/doctest.h>

#include "compress/joint_rounding.hpp"
#include "compress/simulated_activations.hpp"
#include "compress/static_quantizer.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

struct Case {
  Graph graph;
  QuantPlacement placement;
  JointValues start;

  Case() {
    test::GraphBuilder build;
    const ValueId x = build.input("x", {-1, 12});
    const ValueId hidden = build.node(
        "Relu", {build.node("Gemm", {x, build.weight("first", {12, 24}, 0.3f), build.weight("shift", {24})})});
    graph = build.finish(build.node("Gemm", {hidden, build.weight("last", {24, 6}, 0.3f), build.weight("bias", {6})}));
    placement = place_quantization(graph, [](const std::string&) { return true; });
    for (const QuantPlace& place : placement.places)
      if (place.kind == QuantPlace::Kind::activation)
        start.activations[place.value] = codes_of({place.non_negative ? 0.0f : -4.0f, 4.0f}, place.non_negative, {4});
    StaticConfig config;
    config.weight_bits = 3;
    start.weights = encode_weights(graph, placement, start.activations, config);
  }

  JointValues run(int64_t steps) const {
    JointConfig config;
    config.steps = steps;
    int64_t drawn = 0, told = 0;
    at::Tensor samples = at::randn({512, 12}, at::TensorOptions(at::kFloat));
    const auto next = [&]() -> std::vector<at::Tensor> {
      const int64_t begin = 32 * (drawn++ % 16);
      return {samples.slice(0, begin, begin + 32)};
    };
    JointValues result = round_jointly(graph, placement, start, start.weights, config, at::kCPU, next,
                                       [&](int64_t step) { told = step; });
    CHECK(told == steps);
    return result;
  }
};

}  // namespace

TEST_CASE("joint_rounding: the loss falls, codes stay within one of nearest, steps and biases move") {
  const Case small;
  const JointValues tuned = small.run(200);
  CHECK(tuned.loss_after < 0.9 * tuned.loss_before);
  int changed = 0;
  for (const auto& [id, weight] : tuned.weights) {
    const EncodedWeight& nearest = small.start.weights.at(id);
    CHECK(weight.scale == nearest.scale);
    for (size_t i = 0; i < weight.codes.size(); ++i) {
      const int code = static_cast<int8_t>(weight.codes[i]), before = static_cast<int8_t>(nearest.codes[i]);
      REQUIRE(std::abs(code - before) <= 1);
      REQUIRE(code >= nearest.range.lowest);
      REQUIRE(code <= nearest.range.highest);
      changed += code != before ? 1 : 0;
    }
  }
  CHECK(changed > 0);
  CHECK(tuned.biases.size() == 2);
  for (const auto& [id, codes] : tuned.activations) {
    CHECK(codes.scale > 0);
    CHECK(codes.scale != small.start.activations.at(id).scale);
    CHECK(codes.zero_point == small.start.activations.at(id).zero_point);
  }
}

TEST_CASE("joint_rounding: without steps what it started from is given") {
  const Case small;
  const JointValues same = small.run(0);
  CHECK(same.loss_after == same.loss_before);
  for (const auto& [id, weight] : same.weights) CHECK(weight.codes == small.start.weights.at(id).codes);
  CHECK(same.biases.empty());
}
