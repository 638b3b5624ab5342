#include <algorithm>
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <doctest/doctest.h>

#include "compress/pruner.hpp"
#include "src/core/error.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

struct Fixture {
  Graph graph = test::small_cnn();
  Parameters parameters{graph, at::kCPU, Training::on};
  Optimizer optimizer{parameters, {"adamw", 0}};

  Pruner pruner(const std::string& scope, kernels::Importance importance = kernels::Importance::taylor) {
    return Pruner(parameters, optimizer, {importance, 0.5, scope}, [](const std::string&) { return true; }, {});
  }

  // Gradients by seed; the same sizes for every call.
  void set_gradients(uint32_t seed) {
    for (const Parameter& parameter : parameters.all()) {
      if (parameter.role == Role::statistics) continue;
      at::Tensor gradient = at::empty_like(parameter.tensor);
      auto* values = gradient.mutable_data_ptr<float>();
      for (int64_t i = 0; i < gradient.numel(); ++i)
        values[i] = random_normal({seed, random_stream(parameter.name)}, static_cast<uint64_t>(i));
      parameter.tensor.mutable_grad() = gradient;
    }
  }

  int64_t zeros(const std::string& name) const {
    return (parameters.tensor(graph.find(name)) == 0).sum().item<int64_t>();
  }
};

SparsitySchedule once(double target) { return {"one-shot", 0, target, 0, 0, 1}; }

}  // namespace

TEST_CASE("pruner: global scope prunes the smallest scores of all weights together") {
  Fixture f;
  Pruner pruner = f.pruner("global");
  pruner.set_schedule(once(0.5));
  f.set_gradients(1);
  pruner.accumulate();
  // With one batch the average is (1 - decay) |w g|: the order of |w g| decides.
  std::vector<float> scores;
  for (const Parameter& parameter : f.parameters.all())
    if (parameter.role == Role::weight) {
      const at::Tensor product = (parameter.tensor.detach() * parameter.tensor.grad()).abs().contiguous();
      scores.insert(scores.end(), product.const_data_ptr<float>(), product.const_data_ptr<float>() + product.numel());
    }
  std::sort(scores.begin(), scores.end());
  const auto pruned = (scores.size() + 1) / 2;
  std::vector<at::Tensor> before;
  for (const Parameter& parameter : f.parameters.all()) before.push_back(parameter.tensor.detach().clone());
  pruner.after_step(0);
  CHECK(pruner.sparsity() == doctest::Approx(static_cast<double>(pruned) / static_cast<double>(scores.size())));
  for (size_t i = 0; i < before.size(); ++i) {
    const Parameter& parameter = f.parameters.all()[i];
    if (parameter.role != Role::weight) {
      CHECK(parameter.tensor.equal(before[i]));
      continue;
    }
    const at::Tensor kept = (before[i] * parameter.tensor.grad()).abs() >= scores[pruned];
    CHECK(parameter.tensor.detach().equal(before[i] * kept));
  }
}

TEST_CASE("pruner: layer scope gives every weight the same sparsity") {
  Fixture f;
  Pruner pruner = f.pruner("layer");
  pruner.set_schedule(once(0.75));
  f.set_gradients(2);
  pruner.accumulate();
  pruner.after_step(0);
  CHECK(f.zeros("conv1") == 54);
  CHECK(f.zeros("conv2") == 135);
  CHECK(f.zeros("fc") == 12);  // 11.25 rounded up: at least the asked share
  CHECK(f.zeros("fc.bias") == 0);
}

TEST_CASE("pruner: what is pruned stays pruned while the sparsity rises, and moments are zero there") {
  Fixture f;
  Pruner pruner = f.pruner("global");
  pruner.set_schedule({"cubic", 0, 0.8, 0, 20, 5});
  at::Tensor previous = at::zeros_like(f.parameters.tensor(f.graph.find("conv2"))).to(at::kBool);
  for (int64_t step = 0; step <= 20; ++step) {
    f.set_gradients(static_cast<uint32_t>(10 + step));
    pruner.accumulate();
    f.optimizer.step(0.01);
    pruner.after_step(step);
    const at::Tensor zero = f.parameters.tensor(f.graph.find("conv2")).detach() == 0;
    CHECK((zero | previous).equal(zero));
    previous = zero;
  }
  CHECK(pruner.sparsity() >= 0.8);
  for (const OptimizerState& state : f.optimizer.states())
    if (state.name == "conv2")
      for (const at::Tensor& moment : state.moments) CHECK((moment * previous).abs().sum().item<float>() == 0);
}

TEST_CASE("pruner: a step with an infinite gradient leaves the scores as they were") {
  Fixture f;
  Pruner pruner = f.pruner("global");
  f.set_gradients(3);
  pruner.accumulate();
  std::map<std::string, at::Tensor> before;
  for (const auto& [name, tensor] : pruner.state()) before.emplace(name, tensor.clone());
  f.set_gradients(4);
  f.parameters.leaves().front().mutable_grad().fill_(std::numeric_limits<float>::infinity());
  pruner.accumulate();
  for (const auto& [name, tensor] : pruner.state()) CHECK(tensor.equal(before.at(name)));
}

TEST_CASE("pruner: a step that the trainer leaves out keeps scores and masks; the masks change after the next one") {
  Fixture f;
  Pruner pruner = f.pruner("global");
  pruner.set_schedule(once(0.5));
  const at::Tensor fine = at::zeros({}), bad = at::zeros({}).fill_(1);
  f.set_gradients(3);
  pruner.accumulate(bad);
  pruner.after_step(0, bad);
  CHECK(pruner.sparsity() == 0);
  pruner.accumulate(fine);
  pruner.after_step(1, fine);
  CHECK(pruner.sparsity() >= 0.5);
}

TEST_CASE("pruner: zero gradients everywhere are an error, not a choice by index") {
  Fixture f;
  Pruner pruner = f.pruner("global");
  pruner.set_schedule(once(0.5));
  for (const at::Tensor& leaf : f.parameters.leaves()) leaf.mutable_grad() = at::zeros_like(leaf);
  pruner.accumulate();
  CHECK_THROWS_AS(pruner.after_step(0), Error);
}

TEST_CASE("pruner: nothing selected is a usage error; earlier masks hold") {
  Fixture f;
  CHECK_THROWS_AS(Pruner(f.parameters, f.optimizer, {}, [](const std::string&) { return false; }, {}), Error);
  {
    const c10::AutoGradMode no_grad(false);
    f.parameters.tensor(f.graph.find("fc")).select(0, 1).zero_();
  }
  Pruner pruner(f.parameters, f.optimizer, {}, [](const std::string& name) { return name == "fc"; }, {"fc"});
  CHECK(pruner.sparsity() == doctest::Approx(1.0 / 3));
  f.set_gradients(5);
  f.optimizer.step(0.1);
  pruner.after_step(0);
  CHECK(f.zeros("fc") == 5);
}
