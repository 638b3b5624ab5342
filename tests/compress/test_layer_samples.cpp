#include <ATen/TensorOperators.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <doctest/doctest.h>

#include "compress/layer_samples.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

// image -> Conv (padded) -> Relu -> Flatten -> Gemm with alpha
Graph small_network() {
  test::GraphBuilder build;
  const ValueId image = build.input("image", {-1, 2, 6, 6});
  const ValueId first = build.weight("first", {4, 2, 3, 3}), bias = build.weight("bias", {4});
  const ValueId conv = build.node("Conv", {image, first, bias}, {{"pads", std::vector<int64_t>{1, 1, 1, 1}}});
  const ValueId flat = build.node("Flatten", {build.node("Relu", {conv})});
  return build.finish(build.node("Gemm", {flat, build.weight("last", {144, 5})}, {{"alpha", 2.0f}}));
}

ForEachBatch batches_of(const at::Tensor& images, int64_t size) {
  return [=](const auto& take) {
    for (int64_t begin = 0; begin < images.size(0); begin += size) {
      const at::Tensor batch = images.slice(0, begin, begin + size);
      take(std::span<const at::Tensor>(&batch, 1));
    }
  };
}

}  // namespace

TEST_CASE("layer_samples: rows by the weight are the float layer's outputs, behind its bias and Relu") {
  const Graph graph = small_network();
  const Parameters parameters(graph, at::kCPU, Training::off);
  const at::Tensor images = at::randn({10, 2, 6, 6});
  const Network network{graph, parameters};
  SampleBudget budget{10, 1 << 20, 1 << 28};
  const LayerSamples all = sample_layer(network, network, graph.find("first"), budget, batches_of(images, 4), {1, 2});
  REQUIRE((all.inputs.sizes() == at::IntArrayRef{1, 360, 18}));
  const at::Tensor weight = parameters.tensor(graph.find("first")), bias = parameters.tensor(graph.find("bias"));
  const at::Tensor expected =
      at::clamp(at::conv2d(images, weight, bias, 1, 1), 0).permute({0, 2, 3, 1}).reshape({1, 360, 4});
  CHECK(all.targets.allclose(expected, 1e-4, 1e-5));
  CHECK(all.end.low == 0);
  budget.rows = 50;
  const LayerSamples some = sample_layer(network, network, graph.find("first"), budget, batches_of(images, 4), {1, 2});
  CHECK((some.inputs.sizes() == at::IntArrayRef{1, 50, 18}));
  const at::Tensor given = at::clamp(at::matmul(some.inputs, weight.reshape({4, 18}).t()) + bias, 0);
  CHECK(some.targets.allclose(given, 1e-4, 1e-5));
  budget = {10, 1 << 20, 4 * 22 * 30};
  const LayerSamples few = sample_layer(network, network, graph.find("first"), budget, batches_of(images, 3), {1, 2});
  CHECK(few.inputs.size(1) == 30);
}

TEST_CASE("layer_samples: inputs come from the quantized network, targets from the float one, with Gemm's alpha") {
  const Graph graph = small_network();
  const Parameters parameters(graph, at::kCPU, Training::off);
  Parameters changed(graph, at::kCPU, Training::off);
  changed.writable(graph.find("first")).mul_(0.5);
  changed.writable(graph.find("bias")).mul_(0.5);
  const at::Tensor images = at::randn({10, 2, 6, 6});
  const SampleBudget budget{10, 100, 1 << 28};
  const Network network{graph, parameters};
  const LayerSamples samples =
      sample_layer(network, {graph, changed}, graph.find("last"), budget, batches_of(images, 5), {1, 2});
  REQUIRE((samples.inputs.sizes() == at::IntArrayRef{1, 10, 144}));
  const at::Tensor expected = at::matmul(samples.inputs * 2, parameters.tensor(graph.find("last"))) * 2;
  CHECK(samples.targets.allclose(expected, 1e-4, 1e-4));
  CHECK_FALSE(samples.end.limited());
}
