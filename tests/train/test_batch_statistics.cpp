#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/empty.h>
#include <doctest/doctest.h>

#include "src/train/batch_statistics.hpp"
#include "tests/data/data_files.hpp"
#include "tests/support/graph_builder.hpp"

using namespace pare;

namespace {

constexpr int64_t samples = 12, channels = 2, pixels = 6;

// x [N,2,2,3] -> BatchNormalization, and the same once more with the statistics of the first where `shared`.
Graph normalizations(float momentum, bool shared) {
  test::GraphBuilder b;
  ValueId y = b.input("x", {-1, channels, 2, 3});
  const std::vector<ValueId> rest{b.filled("scale", {channels}, 1), b.filled("shift", {channels}, 0),
                                  b.filled("mean", {channels}, 7), b.filled("variance", {channels}, 3)};
  for (int i = 0; i < (shared ? 2 : 1); ++i)
    y = b.node("BatchNormalization", {y, rest[0], rest[1], rest[2], rest[3]}, {{"momentum", momentum}});
  return b.finish(y);
}

struct Statistics {
  int count = 0;
  at::Tensor mean, variance;
};

// The statistics after `batches` batches of 4 samples.
Statistics reestimated(const Graph& graph, int64_t batches) {
  const auto data = test::counting(samples, {channels, 2, 3}, 3);
  LoaderConfig config;
  config.batch = 4;
  config.preprocess.scale = {1.0};
  Loader loader(*data, config);
  loader.start(0);
  const Executor executor(graph);
  Parameters parameters(graph, at::kCPU, Training::on);
  Statistics result;
  result.count = reestimate_batch_statistics(graph, executor, parameters, loader, batches);
  for (const Parameter& parameter : parameters.all()) {
    if (parameter.name == "mean") result.mean = parameter.tensor;
    if (parameter.name == "variance") result.variance = parameter.tensor;
  }
  return result;
}

// The same samples, [batch of 4, 4 samples, channel, pixel].
at::Tensor expected_samples() {
  const auto data = test::counting(samples, {channels, 2, 3}, 3);
  at::Tensor values = at::empty({samples, channels * pixels});
  for (int64_t i = 0; i < samples; ++i)
    for (int64_t k = 0; k < channels * pixels; ++k) values[i][k] = static_cast<float>(data->value(i, k));
  return values.view({-1, 4, channels, pixels});
}

}  // namespace

TEST_CASE("batch statistics: the average over the batches, whatever momentum and old values are") {
  const at::Tensor all = expected_samples();
  for (const float momentum : {0.9f, 0.0f, 0.99f})
    for (const int64_t batches : {1, 2, 3, 50}) {
      const Statistics found = reestimated(normalizations(momentum, false), batches);
      CHECK(found.count == 1);
      const at::Tensor seen = all.narrow(0, 0, std::min<int64_t>(batches, 3));
      CHECK(at::allclose(found.mean, seen.mean({0, 1, 3}), 1e-4));
      CHECK(at::allclose(found.variance, seen.var({1, 3}, true).mean(0), 1e-4));
    }
}

TEST_CASE("batch statistics: two nodes with the same statistics, one whose momentum is 1, and no batch") {
  // The first node makes mean 0 and variance 1 of each channel, the second sees that; the running value after both is
  // momentum (1 - momentum) of the first and 1 - momentum of the second.
  const at::Tensor all = expected_samples();
  const Statistics shared = reestimated(normalizations(0.5f, true), 3);
  CHECK(at::allclose(shared.mean, all.mean({0, 1, 3}) / 3, 1e-4, 1e-5));
  const Statistics kept = reestimated(normalizations(1, false), 3);
  CHECK(kept.count == 0);
  CHECK(kept.mean.eq(7).all().item<bool>());
  const Statistics none = reestimated(normalizations(0.9f, false), 0);
  CHECK(none.count == 0);
  CHECK(none.variance.eq(3).all().item<bool>());
}
