#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>
#include <doctest/doctest.h>

#include "compress/static_quantizer.hpp"
#include "compress/tune_quantization.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

struct Case {
  Graph graph;
  QuantPlacement placement;
  std::map<ValueId, ActivationCodes> activations;
  std::map<ValueId, EncodedWeight> weights;

  Case() {
    test::GraphBuilder build;
    const ValueId x = build.input("x", {-1, 12});
    const ValueId sum = build.node("Gemm", {x, build.weight("first", {12, 24}, 0.3f), build.weight("shift", {24})});
    const ValueId last = build.weight("last", {24, 6}, 0.3f);
    graph = build.finish(build.node("Gemm", {build.node("Relu", {sum}), last, build.weight("bias", {6})}));
    placement = place_quantization(graph, [](const std::string&) { return true; });
    for (const QuantPlace& place : placement.places)
      if (place.kind == QuantPlace::Kind::activation)
        activations[place.value] = codes_of({place.non_negative ? 0.0f : -9.0f, 9.0f}, place.non_negative, {4});
    StaticConfig config;
    config.weight_bits = 3;
    weights = encode_weights(graph, placement, activations, config);
  }

  TunedValues tuned(int64_t steps) const {
    TuningConfig config;
    config.steps = steps;
    int64_t drawn = 0, told = 0;
    const at::Tensor samples = at::randn({512, 12});
    // One memory for all batches, as a loader has it.
    const at::Tensor batch = at::empty({32, 12});
    const auto next = [&]() -> std::vector<at::Tensor> {
      const int64_t begin = 32 * (drawn++ % 16);
      batch.copy_(samples.slice(0, begin, begin + 32));
      return {batch};
    };
    TunedValues result = tune_quantization(graph, placement, activations, weights, config, at::kCPU, next,
                                           [&](int64_t step) { told = step; });
    CHECK(told == steps);
    return result;
  }
};

}  // namespace

TEST_CASE("tune_quantization: ranges that are too wide shrink, biases move, and the loss falls") {
  const Case small;
  const TunedValues tuned = small.tuned(200);
  CHECK(tuned.loss_after < 0.9 * tuned.loss_before);
  CHECK(tuned.biases.size() == 2);
  for (const auto& [id, codes] : tuned.activations) {
    CHECK(codes.scale > 0);
    CHECK(codes.scale < small.activations.at(id).scale);
    CHECK(codes.zero_point == small.activations.at(id).zero_point);
  }
}

TEST_CASE("tune_quantization: without steps what it started from is given") {
  const Case small;
  const TunedValues same = small.tuned(0);
  CHECK(same.loss_after == same.loss_before);
  CHECK(same.biases.empty());
  for (const auto& [id, codes] : same.activations) CHECK(codes.scale == small.activations.at(id).scale);
}
