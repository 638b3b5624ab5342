#include <cmath>

#include <ATen/ops/full_like.h>
#include <doctest/doctest.h>

#include "src/train/optimizer.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

struct Fixture {
  Graph graph = test::small_cnn();
  Parameters parameters{graph, at::kCPU, Training::on};
  at::Tensor weight = parameters.tensor(graph.find("fc"));
  at::Tensor bias = parameters.tensor(graph.find("fc.bias"));

  double first(const at::Tensor& tensor) const { return tensor.detach().flatten()[0].item<double>(); }
};

}  // namespace

TEST_CASE("optimizer: AdamW follows its formula, decays weights and not biases") {
  Fixture f;
  Optimizer optimizer(f.parameters, {"adamw", 0.1});
  double w = f.first(f.weight), b = f.first(f.bias), m = 0, v = 0;
  const double gradients[] = {0.5, -0.25, 0.125};
  for (int t = 1; t <= 3; ++t) {
    const double g = gradients[t - 1];
    f.weight.mutable_grad() = at::full_like(f.weight, g);
    f.bias.mutable_grad() = at::full_like(f.bias, g);
    optimizer.step(0.01);
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    const double update = 0.01 * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
    w = w * (1 - 0.01 * 0.1) - update;
    b -= update;
  }
  CHECK(f.first(f.weight) == doctest::Approx(w).epsilon(1e-5));
  CHECK(f.first(f.bias) == doctest::Approx(b).epsilon(1e-5));
}

TEST_CASE("optimizer: SGD has Nesterov momentum") {
  Fixture f;
  Optimizer optimizer(f.parameters, {"sgd", 0});
  double w = f.first(f.weight), momentum = 0;
  for (const double g : {0.5, -0.25, 0.125}) {
    f.weight.mutable_grad() = at::full_like(f.weight, g);
    optimizer.step(0.1);
    momentum = 0.9 * momentum + g;
    w -= 0.1 * (g + 0.9 * momentum);
  }
  CHECK(f.first(f.weight) == doctest::Approx(w).epsilon(1e-5));
}

TEST_CASE("optimizer: SGD with classical momentum, and with none") {
  for (const double rate : {0.9, 0.0}) {
    Fixture f;
    Optimizer optimizer(f.parameters, {"sgd", 0, rate, false});
    double w = f.first(f.weight), momentum = 0;
    for (const double g : {0.5, -0.25, 0.125}) {
      f.weight.mutable_grad() = at::full_like(f.weight, g);
      optimizer.step(0.1);
      momentum = rate * momentum + g;
      w -= 0.1 * momentum;
    }
    CHECK(f.first(f.weight) == doctest::Approx(w).epsilon(1e-5));
  }
}

TEST_CASE("optimizer: a leaf without a gradient stays as it is") {
  Fixture f;
  Optimizer optimizer(f.parameters, {"adamw", 0.1});
  const at::Tensor before = f.weight.detach().clone();
  f.bias.mutable_grad() = at::full_like(f.bias, 1.0);
  optimizer.step(0.1);
  CHECK(f.weight.equal(before));
  optimizer.zero_grad();
  CHECK_FALSE(f.bias.grad().defined());
}
