#include <ATen/TensorOperators.h>
#include <ATen/ops/ones_like.h>
#include <doctest/doctest.h>

#include "src/train/kept_zeros.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

TEST_CASE("kept_zeros: zeros of the named weights and their moments stay zero, all else trains") {
  const Graph graph = test::small_cnn();
  const Parameters parameters(graph, at::kCPU, Training::on);
  const auto weight = [&](const char* name) { return parameters.tensor(graph.find(name)); };
  {
    const c10::AutoGradMode no_grad(false);
    for (const char* name : {"conv1", "conv2"}) weight(name).select(0, 1).zero_();
  }
  Optimizer optimizer(parameters, {"adamw", 0});
  KeptZeros zeros(parameters, optimizer, {"conv1", "nothing"});
  for (int step = 0; step < 3; ++step) {
    for (const at::Tensor& leaf : parameters.leaves()) leaf.mutable_grad() = at::ones_like(leaf);
    optimizer.step(0.1);
    zeros.apply();
  }
  CHECK(weight("conv1").select(0, 1).eq(0).all().item<bool>());
  CHECK(weight("conv1").select(0, 0).ne(0).all().item<bool>());
  CHECK(weight("conv2").select(0, 1).ne(0).all().item<bool>());
  int looked_at = 0;
  for (const OptimizerState& state : optimizer.states())
    if (state.name == "conv1")
      for (const at::Tensor& moment : state.moments) {
        CHECK(moment.select(0, 1).eq(0).all().item<bool>());
        CHECK(moment.select(0, 0).ne(0).all().item<bool>());
        ++looked_at;
      }
  CHECK(looked_at == 2);
}
