#include <algorithm>
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
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

  Pruner pruner(const PruneConfig& config) {
    return Pruner(graph, parameters, &optimizer, config, [](const std::string&) { return true; }, {});
  }
  Pruner pruner(const std::string& scope, const char* importance = "taylor") {
    PruneConfig config;
    config.method = find_importance(importance);
    config.average = 0.5;
    config.scope = scope;
    return pruner(config);
  }

  at::Tensor weight(const std::string& name) const { return parameters.tensor(graph.find(name)).detach(); }

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
  pruner.after_backward();
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
  pruner.after_backward();
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
    pruner.after_backward();
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
  pruner.after_backward();
  std::map<std::string, at::Tensor> before;
  for (const auto& [name, tensor] : pruner.state()) before.emplace(name, tensor.clone());
  f.set_gradients(4);
  f.parameters.leaves().front().mutable_grad().fill_(std::numeric_limits<float>::infinity());
  pruner.after_backward();
  for (const auto& [name, tensor] : pruner.state()) CHECK(tensor.equal(before.at(name)));
}

TEST_CASE("pruner: a step that the trainer leaves out keeps scores and masks, the masks change after the next one") {
  Fixture f;
  Pruner pruner = f.pruner("global");
  pruner.set_schedule(once(0.5));
  const at::Tensor fine = at::zeros({}), bad = at::zeros({}).fill_(1);
  f.set_gradients(3);
  pruner.after_backward(bad);
  pruner.after_step(0, bad);
  CHECK(pruner.sparsity() == 0);
  pruner.after_backward(fine);
  pruner.after_step(1, fine);
  CHECK(pruner.sparsity() >= 0.5);
}

TEST_CASE("pruner: zero gradients everywhere are an error, not a choice by index") {
  Fixture f;
  Pruner pruner = f.pruner("global");
  pruner.set_schedule(once(0.5));
  for (const at::Tensor& leaf : f.parameters.leaves()) leaf.mutable_grad() = at::zeros_like(leaf);
  pruner.after_backward();
  CHECK_THROWS_AS(pruner.after_step(0), Error);
}

TEST_CASE("pruner: nothing selected is a usage error, earlier masks hold") {
  Fixture f;
  CHECK_THROWS_AS(Pruner(f.graph, f.parameters, &f.optimizer, {}, [](const std::string&) { return false; }, {}), Error);
  {
    const c10::AutoGradMode no_grad(false);
    f.parameters.tensor(f.graph.find("fc")).select(0, 1).zero_();
  }
  Pruner pruner(f.graph, f.parameters, &f.optimizer, {}, [](const std::string& name) { return name == "fc"; }, {"fc"});
  CHECK(pruner.sparsity() == doctest::Approx(1.0 / 3));
  f.set_gradients(5);
  f.optimizer.step(0.1);
  pruner.after_step(0);
  CHECK(f.zeros("fc") == 5);
}

TEST_CASE("pruner: an average of 1 is the sum of all steps, snip takes the size of its sum, movement its sign") {
  for (const char* method : {"snip", "movement", "taylor"}) {
    CAPTURE(method);
    Fixture f;
    PruneConfig config;
    config.method = find_importance(method);
    config.average = 1;
    Pruner pruner = f.pruner(config);
    at::Tensor expected = at::zeros_like(f.weight("fc"));
    for (uint32_t seed = 1; seed <= 3; ++seed) {
      f.set_gradients(seed);
      const at::Tensor product = f.weight("fc") * f.parameters.tensor(f.graph.find("fc")).grad();
      expected += method == std::string("taylor") ? product.abs() : method == std::string("snip") ? product : -product;
      pruner.after_backward();
    }
    if (method == std::string("snip")) expected = expected.abs();
    CHECK_FALSE((expected < 0).all().item<bool>());
    // Layer by layer, the smallest third of fc goes.
    config.scope = "layer";
    Pruner layered = f.pruner(config);
    for (uint32_t seed = 1; seed <= 3; ++seed) {
      f.set_gradients(seed);
      layered.after_backward();
    }
    layered.prune(1.0 / 3);
    const at::Tensor zero = f.weight("fc") == 0;
    CHECK(zero.sum().item<int64_t>() == 5);
    const at::Tensor cut = std::get<0>(expected.flatten().sort())[5];
    CHECK(zero.equal(expected < cut));
  }
}

TEST_CASE("pruner: with movement, whose scores may be negative, what is pruned stays pruned") {
  Fixture f;
  Pruner pruner = f.pruner("global", "movement");
  pruner.set_schedule({"linear", 0, 0.6, 0, 10, 2});
  at::Tensor previous = at::zeros_like(f.weight("conv2")).to(at::kBool);
  for (int64_t step = 0; step <= 10; ++step) {
    f.set_gradients(static_cast<uint32_t>(20 + step));
    pruner.after_backward();
    f.optimizer.step(0.01);
    pruner.after_step(step);
    const at::Tensor zero = f.weight("conv2") == 0;
    CHECK((zero | previous).equal(zero));
    previous = zero;
  }
  CHECK(pruner.sparsity() == doctest::Approx(0.6).epsilon(0.01));
}

TEST_CASE("pruner: random follows the seed alone, magnitude needs no gradient and no optimizer") {
  std::vector<at::Tensor> results;
  for (const uint64_t seed : {1, 1, 2}) {
    Fixture f;
    PruneConfig config;
    config.method = find_importance("random");
    config.seed = seed;
    Pruner(f.graph, f.parameters, nullptr, config, [](const std::string&) { return true; }, {}).prune(0.5);
    results.push_back(f.weight("conv2") == 0);
  }
  CHECK(results[0].equal(results[1]));
  CHECK_FALSE(results[0].equal(results[2]));
  Fixture f;
  const at::Tensor before = f.weight("fc").clone();
  PruneConfig config;
  config.method = find_importance("magnitude");
  Pruner(f.graph, f.parameters, nullptr, config, [](const std::string& name) { return name == "fc"; }, {}).prune(0.4);
  const at::Tensor cut = std::get<0>(before.abs().flatten().sort())[6];
  CHECK(f.weight("fc").equal(before * (before.abs() >= cut)));
}

TEST_CASE("pruner: wanda multiplies by the norms of what a weight meets, and names a weight without one") {
  Fixture f;
  PruneConfig config;
  config.method = find_importance("wanda");
  const auto only_fc = [](const std::string& name) { return name == "fc"; };
  Pruner pruner(f.graph, f.parameters, nullptr, config, only_fc, {});
  CHECK_THROWS_WITH_AS(pruner.prune(0.2), doctest::Contains("weight 'fc'"), Error);
  pruner.set_input_norms({{"fc", at::arange(5, at::kFloat).view({1, 5})}});
  pruner.prune(0.2);
  CHECK((f.weight("fc").select(1, 0) == 0).all().item<bool>());  // the input that is always zero
  CHECK(f.zeros("fc") == 3);
}

TEST_CASE("pruner: N:M keeps the largest of every group along the reduction, whichever way the weight lies") {
  Fixture f;
  PruneConfig config;
  config.method = find_importance("magnitude");
  config.pattern = parse_pattern("2:4");
  Pruner pruner = f.pruner(config);
  const at::Tensor before = f.weight("conv2").clone();
  pruner.prune(config.pattern.sparsity());
  const at::Tensor groups = f.weight("conv2").reshape({5, 9, 4});
  CHECK((groups != 0).sum(2).eq(2).all().item<bool>());
  const at::Tensor sizes = before.reshape({5, 9, 4}).abs();
  const at::Tensor second = std::get<0>(sizes.sort(2)).select(2, 2).unsqueeze(2);
  CHECK((groups != 0).equal(sizes >= second));
  // 5 inputs: the last group of each row has one, which stays.
  CHECK(f.zeros("fc") == 3 * 2);
  CHECK(pruner.sparsity() > 0.45);
}

TEST_CASE("pruner: blocks go as one, those at the edge too, and the share counts blocks") {
  Fixture f;
  PruneConfig config;
  config.method = find_importance("magnitude");
  config.pattern = parse_pattern("block:2x5");
  Pruner pruner = f.pruner(config);
  pruner.prune(0.5);
  CHECK(pruner.pruned_share() >= 0.5);
  CHECK(pruner.selected_units() == 2 * 4 + 3 * 8 + 2);
  const at::Tensor zero = (f.weight("conv2").reshape({5, 36}) == 0);
  for (int64_t row = 0; row < 5; row += 2)
    for (int64_t column = 0; column < 36; column += 5) {
      const at::Tensor block = zero.slice(0, row, row + 2).slice(1, column, column + 5);
      CHECK(block.all().equal(block.any()));
    }
}

TEST_CASE("pruner: ERK prunes large layers more, and reaches the whole") {
  Fixture f;
  Pruner pruner = f.pruner("erk", "magnitude");
  pruner.prune(0.5);
  CHECK(pruner.sparsity() >= 0.5);
  CHECK(pruner.sparsity() < 0.52);
  const auto share = [&](const char* name) {
    return static_cast<double>(f.zeros(name)) / static_cast<double>(f.weight(name).numel());
  };
  CHECK(share("conv2") > share("conv1"));
  CHECK(share("conv1") > share("fc"));
}

TEST_CASE("pruner: regrowth by gradient exchanges weights at equal sparsity, new ones start at zero") {
  Fixture f;
  PruneConfig config;
  config.method = find_importance("magnitude");
  config.regrow = 0.4;
  Pruner pruner = f.pruner(config);
  pruner.set_schedule({"one-shot", 0, 0.5, 0, 10, 5});
  f.set_gradients(1);
  pruner.after_backward();
  pruner.after_step(0);
  const double sparsity = pruner.sparsity();
  const at::Tensor first = pruner.masks().at("conv2").clone();
  for (int64_t step = 1; step <= 5; ++step) {
    f.set_gradients(static_cast<uint32_t>(step + 1));
    pruner.after_backward();
    pruner.after_step(step);
  }
  const at::Tensor second = pruner.masks().at("conv2").clone();
  CHECK(pruner.sparsity() == sparsity);
  const at::Tensor grown = second.ne(0) & first.eq(0);
  CHECK(grown.any().item<bool>());
  CHECK((f.weight("conv2").masked_select(grown) == 0).all().item<bool>());
  // The gradients of what grew are larger than those of what stays pruned.
  const at::Tensor size = f.parameters.tensor(f.graph.find("conv2")).grad().abs();
  CHECK(size.masked_select(grown).min().item<float>() > size.masked_select(second.eq(0)).min().item<float>());
}

TEST_CASE("pruner: regrowth by splicing trains the dense weight on behind the mask, and it can come back") {
  Fixture f;
  PruneConfig config;
  config.method = find_importance("magnitude");
  config.regrow = 0.5;
  config.regrow_by = Regrow::splice;
  Pruner pruner = f.pruner(config);
  pruner.set_schedule({"one-shot", 0, 0.5, 0, 20, 5});
  f.set_gradients(1);
  pruner.after_backward();
  pruner.after_step(0);
  const at::Tensor first = pruner.masks().at("conv2").clone();
  const at::Tensor dense = pruner.state().at("dense/conv2");
  CHECK((dense.masked_select(first.eq(0)) != 0).all().item<bool>());
  CHECK((f.weight("conv2").masked_select(first.eq(0)) == 0).all().item<bool>());
  // A gradient that drives one pruned weight far up.
  const int64_t hidden = first.eq(0).contiguous().flatten().nonzero()[0].item<int64_t>();
  for (int64_t step = 1; step <= 5; ++step) {
    for (const at::Tensor& leaf : f.parameters.leaves()) leaf.mutable_grad() = at::zeros_like(leaf);
    at::Tensor gradient = at::zeros_like(f.weight("conv2")).contiguous();
    gradient.view(-1)[hidden].fill_(-1);
    f.parameters.tensor(f.graph.find("conv2")).mutable_grad().copy_(gradient);
    pruner.after_backward();
    f.optimizer.step(0.5);
    pruner.after_step(step);
  }
  CHECK(pruner.masks().at("conv2").contiguous().flatten()[hidden].item<int>() == 1);
  CHECK(f.weight("conv2").contiguous().flatten()[hidden].item<float>() > 1);
  CHECK(pruner.sparsity() == doctest::Approx(0.5).epsilon(0.01));
}

TEST_CASE("pruner: NaN in a weight or in every gradient is named") {
  {
    Fixture f;
    f.weight("fc")[0][0] = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_WITH_AS(f.pruner("global"), doctest::Contains("weight 'fc': holds NaN"), Error);
  }
  Fixture f;
  Pruner pruner = f.pruner("global");
  f.set_gradients(1);
  f.parameters.tensor(f.graph.find("conv2")).mutable_grad().fill_(std::numeric_limits<float>::quiet_NaN());
  pruner.after_backward();
  CHECK_THROWS_WITH_AS(pruner.prune(0.5), doctest::Contains("weight 'conv2': its gradient held NaN"), Error);
}

TEST_CASE("pruner: a layer that is zero altogether is found") {
  Fixture f;
  {
    const c10::AutoGradMode no_grad(false);
    f.parameters.tensor(f.graph.find("fc")).mul_(1e-6);
  }
  Pruner pruner = f.pruner("global", "magnitude");
  pruner.prune(0.5);
  CHECK(pruner.emptied() == std::vector<std::string>{"fc"});
}
