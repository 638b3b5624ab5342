#include <cmath>
#include <set>

#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <doctest/doctest.h>

#include "src/core/error.hpp"
#include "src/train/objective.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

// 64 samples [2,6,6] whose class (of three) decides where they are bright.
class Bright : public Dataset {
 public:
  std::string name() const override { return "bright"; }
  std::string sample_name(int64_t index) const override { return "bright: sample " + std::to_string(index); }
  int64_t size() const override { return 64; }
  std::set<int64_t> broken;  // samples that are NaN
  const std::vector<Field>& fields() const override { return fields_; }
  const std::byte* stored(size_t, int64_t index, std::vector<std::byte>& scratch) const override {
    scratch.resize(72 * sizeof(float));
    auto* sample = reinterpret_cast<float*>(scratch.data());
    for (int64_t i = 0; i < 72; ++i)
      sample[i] = broken.contains(index) ? NAN
                                         : 0.3f * random_normal({5, 1}, static_cast<uint64_t>(72 * index + i)) +
                                               (i % 3 == label(index) ? 1.0f : 0.0f);
    return scratch.data();
  }
  bool labelled() const override { return true; }
  int64_t label(int64_t index) const override { return index % 3; }
  int64_t class_count() const override { return 3; }

 private:
  std::vector<Field> fields_{{"x", DType::float32, {2, 6, 6}}};
};

ObjectiveConfig labels_alone(bool train_batch_norm) {
  ObjectiveConfig config;
  config.terms = {{LossKind::ce, 0, 1}};
  if (!train_batch_norm) config.batch_norm_steps = 0;
  return config;
}

struct Run {
  Graph graph = test::small_cnn();
  Executor executor{graph};
  Parameters parameters{graph, at::kCPU, Training::on};
  TrainingState state;
  Bright data;
  FitConfig config;
  int64_t batch = 16;
  FitHooks hooks;
  std::vector<double> losses;
  std::vector<int64_t> saved;

  explicit Run(OptimizerConfig optimizer = {"adamw", 1e-4}, double ema = 0, LossScaling scaling = LossScaling::none)
      : state(parameters, optimizer, scaling, ema) {
    config.learning_rate = {0.03, "cosine", 0, 40};
  }

  FitEnd train(int64_t steps, int64_t first = 0, int64_t stop_after = 1 << 30, int64_t every = 0) {
    LoaderConfig loader_config;
    loader_config.batch = batch;
    loader_config.shuffle = true;
    loader_config.seed = 4;
    Loader loader(data, loader_config);
    config.steps = steps;
    config.checkpoint_every = every;
    int64_t done = first;
    FitHooks all = hooks;
    all.after_step = [&](const StepInfo& info) {
      if (hooks.after_step) hooks.after_step(info);
      done = info.step + 1;
    };
    all.on_epoch = [&](const StepInfo& info) {
      losses.push_back(info.loss);
      return !hooks.on_epoch || hooks.on_epoch(info);
    };
    all.save = [&](int64_t step) { saved.push_back(step); };
    const Objective objective({&executor, &parameters}, nullptr, labels_alone(true), at::kCPU);
    return fit(config, state, objective, loader, at::kCPU, first, all, [&] { return done >= stop_after; });
  }

  // Everything that a step may change.
  std::map<std::string, at::Tensor> everything() const {
    std::map<std::string, at::Tensor> copies;
    for (const Parameter& parameter : parameters.all())
      copies.emplace(parameter.name, parameter.tensor.detach().clone());
    for (const auto& [name, tensor] : state.tensors())
      if (!name.starts_with("guard/")) copies.emplace(name, tensor.clone());
    return copies;
  }

  bool same_as(const Run& other) const {
    for (size_t i = 0; i < parameters.all().size(); ++i)
      if (!parameters.all()[i].tensor.equal(other.parameters.all()[i].tensor)) return false;
    return true;
  }
};

}  // namespace

TEST_CASE("fit: the loss falls, and an epoch is the whole data set") {
  Run run;
  CHECK(run.train(40) == FitEnd::finished);
  REQUIRE(run.losses.size() == 10);
  CHECK(run.losses.back() < 0.5 * run.losses.front());
}

TEST_CASE("fit: the same seed gives the same weights, and a run in two parts those of one") {
  Run whole, again, parts;
  whole.train(40);
  again.train(40);
  CHECK(whole.same_as(again));
  CHECK(parts.train(40, 0, 13) == FitEnd::stopped);
  CHECK(parts.saved.back() == 13);
  CHECK_FALSE(whole.same_as(parts));
  CHECK(parts.train(40, 13) == FitEnd::finished);
  CHECK(whole.same_as(parts));
}

TEST_CASE("fit: checkpoints come at the end of epochs, or every so many steps, and after the last") {
  Run epochs, steps;
  epochs.train(12);
  CHECK(epochs.saved == std::vector<int64_t>{4, 8, 12});
  steps.train(12, 0, 1 << 30, 5);
  CHECK(steps.saved == std::vector<int64_t>{5, 10, 12});
}

TEST_CASE("fit: a step whose gradients are not finite changes nothing") {
  for (const OptimizerConfig& optimizer : {OptimizerConfig{"adamw", 1e-2}, OptimizerConfig{"sgd", 1e-2}}) {
    Run run(optimizer, 0.9);
    run.data.broken = {17};
    std::map<std::string, at::Tensor> before = run.everything();
    int64_t skipped = 0;
    run.hooks.after_step = [&](const StepInfo& info) { skipped += info.skipped(); };
    run.hooks.on_epoch = [](const StepInfo&) { return true; };
    // One batch of four in each epoch holds the broken sample; one step at a time shows which.
    int64_t unchanged = 0;
    for (int64_t step = 0; step < 8; ++step) {
      const int64_t skipped_before = skipped;
      run.train(step + 1, step);
      const auto after = run.everything();
      bool same = true;
      for (const auto& [name, tensor] : after)
        if (!name.starts_with("loss/")) same = same && tensor.equal(before.at(name));
      CHECK(same == (skipped > skipped_before));
      unchanged += same;
      before = after;
    }
    CHECK(unchanged == 2);
    CHECK(run.state.guard.skipped() == 2);
    for (const double loss : run.losses) CHECK((std::isnan(loss) || loss < 10));
  }
}

TEST_CASE("fit: ten bad steps in a row stop the training, and no checkpoint is written in between") {
  Run run;
  for (int64_t i = 0; i < 64; ++i) run.data.broken.insert(i);
  const auto before = run.everything();
  try {
    run.train(100, 0, 1 << 30, 1);
    FAIL("expected an error");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::failure);
    CHECK(std::string(error.what()).find("10 steps in a row up to step 10") != std::string::npos);
  }
  CHECK(run.saved.empty());
  for (const auto& [name, tensor] : run.everything()) CHECK(tensor.equal(before.at(name)));
}

TEST_CASE("fit: the mean gradient of two batches is that of one twice as large") {
  // Without batch statistics, which depend on the batch.
  Run whole({"sgd", 0}), halves({"sgd", 0});
  halves.config.accumulate = 2;
  const Objective frozen_whole({&whole.executor, &whole.parameters}, nullptr, labels_alone(false), at::kCPU);
  const Objective frozen_halves({&halves.executor, &halves.parameters}, nullptr, labels_alone(false), at::kCPU);
  LoaderConfig loader_config;
  loader_config.batch = 16;
  Loader large(whole.data, loader_config);
  loader_config.batch = 8;
  Loader small(halves.data, loader_config);
  whole.config.steps = halves.config.steps = 6;
  fit(whole.config, whole.state, frozen_whole, large, at::kCPU, 0, {}, [] { return false; });
  fit(halves.config, halves.state, frozen_halves, small, at::kCPU, 0, {}, [] { return false; });
  for (size_t i = 0; i < whole.parameters.all().size(); ++i)
    CHECK(at::allclose(whole.parameters.all()[i].tensor, halves.parameters.all()[i].tensor, 1e-4, 1e-5));
}

TEST_CASE("fit: an epoch of accumulated batches ends with the batches that are left") {
  Run run;
  run.config.accumulate = 3;
  run.train(4);
  CHECK(run.losses.size() == 2);  // 4 batches: steps of 3 and 1
  Run parts;
  parts.config.accumulate = 3;
  parts.train(4, 0, 1);
  parts.train(4, 1);
  CHECK(run.same_as(parts));
}

TEST_CASE("fit: clipping bounds the step") {
  Run run({"sgd", 0, 0});
  run.config.clip_norm = 1e-3;
  const auto before = run.everything();
  run.train(1);
  double change = 0;
  for (const Parameter& parameter : run.parameters.all())
    if (parameter.role != Role::statistics)
      change += (parameter.tensor.detach() - before.at(parameter.name)).pow(2).sum().item<double>();
  CHECK(std::sqrt(change) == doctest::Approx(0.03 * 1e-3).epsilon(1e-3));
}

TEST_CASE("fit: on_epoch can end the training") {
  Run run;
  run.hooks.on_epoch = [](const StepInfo& info) { return info.step < 8; };
  CHECK(run.train(40) == FitEnd::finished);
  CHECK(run.losses.size() == 2);
  CHECK(run.saved == std::vector<int64_t>{4});
}

TEST_CASE("fit: loss scaling leaves overflowing steps out and halves the scale, hooks see unscaled gradients") {
  Run scaled({"sgd", 0}, 0, LossScaling::dynamic), plain({"sgd", 0});
  const auto first_gradient = [](Run& run, at::Tensor& gradient) {
    run.hooks.after_backward = [&](const StepInfo& info) {
      if (info.step == 0) gradient = run.parameters.leaves().front().grad().clone();
    };
  };
  at::Tensor ours, reference;
  first_gradient(scaled, ours);
  first_gradient(plain, reference);
  scaled.train(1);
  plain.train(1);
  CHECK(at::allclose(ours, reference, 1e-4, 1e-7));
  CHECK(scaled.state.guard.scale() == 65536);
  scaled.hooks.after_backward = nullptr;
  for (int64_t i = 0; i < 64; ++i) scaled.data.broken.insert(i);
  scaled.train(6, 1);
  CHECK(scaled.state.guard.scale() == 65536 / 32);
  CHECK(scaled.state.guard.in_a_row() == 0);  // a smaller scale may cure it
  CHECK(scaled.state.guard.skipped() == 5);
  CHECK_THROWS_AS(scaled.train(100, 6), Error);
}
