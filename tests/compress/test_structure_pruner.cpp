#include <cmath>
#include <limits>

#include <ATen/ops/ones_like.h>
#include <doctest/doctest.h>

#include "compress/shrink_proof.hpp"
#include "compress/structure_pruner.hpp"
#include "src/core/error.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;
using pare::test::GraphBuilder;

namespace {

// What a training with a pruner holds, with steps that move every weight the same way.
struct Bench {
  explicit Bench(StructureConfig config, const std::string& schedule, double keep = 0.5, int64_t last = 9)
      : graph(test::small_cnn()),
        groups(channel_groups(graph, Factor::channels)),
        parameters(graph, at::kCPU, Training::on),
        optimizer(parameters, {"sgd", 0, 0.9, false}),
        cost(groups),
        pruner(
            graph, groups, parameters, optimizer, std::vector<bool>(groups.groups.size(), true),
            [this](const Widths& widths) { return ChannelCost::channels(widths); }, std::move(config)) {
    SparsitySchedule rising = parse_schedule(schedule);
    rising.target = 1 - keep;
    rising.first_step = 1;
    rising.last_step = last;
    rising.interval = 2;
    pruner.set_schedule(rising);
  }

  void step(int64_t number, bool left_out = false) {
    for (const at::Tensor& leaf : parameters.leaves()) leaf.mutable_grad() = at::ones_like(leaf).mul_(0.01);
    pruner.after_backward();
    if (!left_out) optimizer.step(0.01);
    pruner.after_step(number, 0.01, left_out);
  }

  // Norm of the slices of conv1's filters, by filter.
  at::Tensor filters() const {
    return parameters.tensor(graph.find("conv1")).detach().flatten(1).norm(2, {1}).contiguous();
  }

  Graph graph;
  ChannelGroups groups;
  Parameters parameters;
  Optimizer optimizer;
  ChannelCost cost;
  StructurePruner pruner;
};

StructureConfig config_of(const std::string& importance, double penalty = 0) {
  StructureConfig config;
  config.importance = importance;
  config.limits = {1, 1, "global"};
  config.penalty = penalty;
  return config;
}

int64_t zeros(const at::Tensor& values) { return values.eq(0).sum().item<int64_t>(); }

}  // namespace

TEST_CASE("structure_pruner: rounds take more and more, what went stays zero, the last meets the target") {
  for (const char* importance : {"magnitude", "taylor", "fisher", "random"}) {
    for (const char* schedule : {"one-shot", "iterative:3", "linear", "cubic", "exponential"}) {
      CAPTURE(importance);
      CAPTURE(schedule);
      Bench bench(config_of(importance), schedule, 0.4);
      RemovedUnits before = bench.pruner.removed();
      for (int64_t i = 0; i < 12; ++i) {
        bench.step(i);
        const RemovedUnits now = bench.pruner.removed();
        for (size_t unit = 0; unit < now.size(); ++unit) CHECK((now[unit] || !before[unit]));
        before = now;
        CHECK(zeros(bench.filters()) == 4 - bench.pruner.widths()[0]);
      }
      CHECK(bench.pruner.complete());
      CHECK(bench.pruner.reached());
      CHECK(ChannelCost::channels(bench.pruner.widths()) <= 0.4 * 9);
    }
  }
}

TEST_CASE("structure_pruner: the trained model is the masked one, so cutting proves exact") {
  Bench bench(config_of("magnitude"), "iterative:2");
  for (int64_t i = 0; i < 12; ++i) bench.step(i);
  Graph trained = bench.graph;
  for (auto& [name, tensor] : bench.parameters.export_tensors()) trained.value(trained.find(name)).constant = tensor;
  const Graph shrunk = shrink(trained, bench.groups, bench.pruner.removed());
  // No mask is put on here: training has left zeros.
  const ShrinkProof proof = prove_shrink(trained, shrunk, random_inputs(bench.groups.sized, 3));
  CHECK(proof.magnitude > 0);
  CHECK(proof.holds());
}

TEST_CASE("structure_pruner: a penalty shrinks what goes next more and more, and nothing else") {
  Bench with(config_of("magnitude", 20), "one-shot"), without(config_of("magnitude"), "one-shot");
  // The penalty alone: no gradients.
  for (Bench* bench : {&with, &without})
    for (const at::Tensor& leaf : bench->parameters.leaves()) leaf.mutable_grad() = at::Tensor();
  const at::Tensor start = with.filters().clone();
  at::Tensor last = start;
  double slowest = 1;
  for (int64_t i = 0; i < 9; ++i) {
    with.pruner.after_step(i, 0.01, false);
    without.pruner.after_step(i, 0.01, false);
    if (i < 1) continue;
    // What will go is what went at once without a penalty.
    const at::Tensor goes = without.filters().eq(0), now = with.filters();
    REQUIRE(zeros(without.filters()) > 0);
    CHECK(now.masked_select(goes.logical_not()).equal(start.masked_select(goes.logical_not())));
    if (i > 1) {
      const double shrinks = now.masked_select(goes).div(last.masked_select(goes)).max().item<double>();
      CHECK(shrinks < slowest);
      slowest = shrinks;
    }
    last = now.clone();
    CHECK(zeros(now) == 0);
  }
  CHECK(slowest == doctest::Approx(1 - 0.01 * 20 * 7 / 8.0).epsilon(1e-3));
  with.pruner.after_step(9, 0.01, false);
  CHECK(zeros(with.filters()) == zeros(without.filters()));
  CHECK(with.pruner.reached());
}

TEST_CASE("structure_pruner: a step that is left out is not penalised") {
  Bench bench(config_of("magnitude", 20), "one-shot");
  for (int64_t i = 0; i < 4; ++i) bench.pruner.after_step(i, 0.01, false);
  const at::Tensor before = bench.filters().clone();
  bench.pruner.after_step(4, 0.01, true);
  CHECK(bench.filters().equal(before));
  bench.pruner.after_step(5, 0.01, false);
  CHECK_FALSE(bench.filters().equal(before));
}

TEST_CASE("structure_pruner: a state that is put back goes on to the same weights") {
  for (const char* importance : {"magnitude", "taylor"}) {
    for (const double penalty : {0.0, 5.0}) {
      Bench whole(config_of(importance, penalty), "iterative:3");
      Bench second(config_of(importance, penalty), "iterative:3");
      for (int64_t i = 0; i < 12; ++i) {
        if (i == 5) {
          auto from = whole.pruner.state(), to = second.pruner.state();
          for (auto& [name, tensor] : to) tensor.copy_(from.at(name));
          for (size_t k = 0; k < whole.parameters.all().size(); ++k)
            second.parameters.all()[k].tensor.detach().copy_(whole.parameters.all()[k].tensor.detach());
          from = whole.optimizer.state(), to = second.optimizer.state();
          for (auto& [name, tensor] : to) tensor.copy_(from.at(name));
        }
        whole.step(i);
        if (i >= 5) second.step(i);
      }
      CHECK(whole.pruner.removed() == second.pruner.removed());
      for (const auto& [name, tensor] : whole.parameters.export_tensors()) {
        const Tensor other = second.parameters.export_tensors().at(name);
        CHECK((to_double(tensor) == to_double(other)));
      }
    }
  }
}

TEST_CASE("structure_pruner: gradients that are not numbers leave the scores alone, and alone they are an error") {
  Bench bench(config_of("taylor"), "one-shot");
  for (const at::Tensor& leaf : bench.parameters.leaves())
    leaf.mutable_grad() = at::ones_like(leaf).mul_(std::numeric_limits<double>::quiet_NaN());
  bench.pruner.after_backward();
  for (const auto& [name, tensor] : bench.pruner.state())
    if (name.starts_with("score/")) CHECK((tensor.eq(0).all().item<bool>()));
  CHECK_THROWS_AS(bench.pruner.after_step(1, 0.01, true), Error);
}

TEST_CASE("structure_pruner: a target out of reach leaves the narrowest") {
  StructureConfig config = config_of("magnitude");
  config.limits.min_keep = 3;
  Bench bench(config, "iterative:2", 0.1);
  for (int64_t i = 0; i < 12; ++i) bench.step(i);
  CHECK(bench.pruner.complete());
  CHECK_FALSE(bench.pruner.reached());
  CHECK(bench.pruner.widths() == Widths{3, 3});
}
