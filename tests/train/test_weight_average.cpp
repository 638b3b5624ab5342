#include <algorithm>

#include <ATen/ops/zeros.h>
#include <doctest/doctest.h>

#include "src/train/weight_average.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

TEST_CASE("weight_average: follows its formula, stands still where a step is left out, and swaps") {
  const Graph graph = test::small_cnn();
  const Parameters parameters(graph, at::kCPU, Training::on);
  const at::Tensor weight = parameters.tensor(graph.find("fc")).detach();
  WeightAverage average(parameters, 0.5);
  const at::Tensor go_on = at::zeros({}), leave_out = at::zeros({}).fill_(1);
  double expected = weight.flatten()[0].item<double>();
  for (int t = 0; t < 12; ++t) {
    weight.fill_(t + 1.0);
    average.update(t % 3 == 2 ? leave_out : go_on);
    if (t % 3 == 2) continue;
    const int updates = t - t / 3;
    const double decay = std::min(0.5, (1.0 + updates) / (10.0 + updates));
    expected = decay * expected + (1 - decay) * (t + 1.0);
  }
  average.swap();
  CHECK(weight.flatten()[0].item<double>() == doctest::Approx(expected).epsilon(1e-5));
  average.swap();
  CHECK(weight.flatten()[0].item<double>() == 12);
}
