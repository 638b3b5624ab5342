#include <cmath>

#include <doctest/doctest.h>

#include "src/core/error.hpp"
#include "src/train/fit.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

// 64 samples [2,6,6] whose class (of three) decides where they are bright.
class Bright : public Dataset {
 public:
  std::string name() const override { return "bright"; }
  std::string sample_name(int64_t index) const override { return "bright: sample " + std::to_string(index); }
  int64_t size() const override { return 64; }
  const Shape& sample_shape() const override { return shape_; }
  DType element_type() const override { return DType::float32; }
  const uint8_t* stored_uint8(int64_t) const override { return nullptr; }
  bool labelled() const override { return true; }
  int64_t label(int64_t index) const override { return index % 3; }
  int64_t class_count() const override { return 3; }
  void read(int64_t index, float* sample) const override {
    for (int64_t i = 0; i < 72; ++i)
      sample[i] =
          0.3f * random_normal({5, 1}, static_cast<uint64_t>(72 * index + i)) + (i % 3 == label(index) ? 1.0f : 0.0f);
  }

 private:
  Shape shape_{2, 6, 6};
};

struct Run {
  Graph graph = test::small_cnn();
  Executor executor{graph};
  Parameters parameters{graph, at::kCPU, Training::on};
  Optimizer optimizer{parameters, {"adamw", 1e-4}};
  Bright data;
  std::vector<double> losses;
  std::vector<int64_t> saved;

  FitEnd train(int64_t steps, int64_t first = 0, int64_t stop_after = 1 << 30, int64_t every = 0) {
    LoaderConfig loader_config;
    loader_config.batch = 16;
    loader_config.shuffle = true;
    loader_config.seed = 4;
    Loader loader(data, loader_config);
    FitConfig config;
    config.steps = steps;
    config.learning_rate = {0.03, "cosine", 0, 40};
    config.checkpoint_every = every;
    int64_t done = first;
    FitHooks hooks;
    hooks.after_step = [&](const StepInfo& info) { done = info.step + 1; };
    hooks.on_epoch = [&](const StepInfo& info) { losses.push_back(info.loss); };
    hooks.save = [&](int64_t step) { saved.push_back(step); };
    return fit(config, {executor, parameters, optimizer}, {}, loader, data.sample_shape(), at::kCPU, first, hooks,
               [&] { return done >= stop_after; });
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

TEST_CASE("fit: checkpoints come at the end of epochs, or every so many steps, never after the last") {
  Run epochs, steps;
  epochs.train(12);
  CHECK(epochs.saved == std::vector<int64_t>{4, 8});
  steps.train(12, 0, 1 << 30, 5);
  CHECK(steps.saved == std::vector<int64_t>{5, 10});
}

TEST_CASE("fit: a loss that is not finite stops the training") {
  Run run;
  {
    const c10::AutoGradMode no_grad(false);
    run.parameters.leaves().back().fill_(NAN);
  }
  CHECK_THROWS_AS(run.train(8), Error);
}
