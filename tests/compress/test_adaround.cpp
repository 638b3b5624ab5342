#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <doctest/doctest.h>

#include "compress/adaround.hpp"

using namespace pare;

namespace {

std::vector<float> floats(const at::Tensor& tensor) {
  const at::Tensor dense = tensor.contiguous();
  return {dense.const_data_ptr<float>(), dense.const_data_ptr<float>() + dense.numel()};
}

at::Tensor correlated(int64_t rows, int64_t columns) {
  return at::matmul(at::randn({rows, columns / 2}), at::randn({columns / 2, columns}))
      .add_(at::randn({rows, columns}), 0.1);
}

int code(const EncodedWeight& weight, size_t i) { return static_cast<int8_t>(weight.codes[i]); }

AdaroundConfig few_steps() {
  AdaroundConfig config;
  config.steps = 300;
  config.batch = 128;
  config.key = {3, 1};
  return config;
}

}  // namespace

TEST_CASE("adaround: outputs change less than with nearest, and every code is the one below or above") {
  const at::Tensor x = correlated(600, 60), matrix = at::randn({60, 20});
  const LayerSamples samples{x.unsqueeze(0), at::matmul(x, matrix).unsqueeze(0), {}};
  const std::vector<float> values = floats(matrix);
  for (const int bits : {3, 4}) {
    const EncodedWeight nearest = encode_nearest(values, {{60, 20}, 1, 0, false}, signed_codes(bits), ScaleSearch::mse);
    const RoundedWeight rounded = round_adaround(values, {{1, 60, 20}, 1}, nearest, samples, few_steps());
    CHECK_FALSE(rounded.errors->kept_nearest);
    CHECK(rounded.errors->rounded < 0.8 * rounded.errors->nearest);
    CHECK(rounded.encoded.scale == nearest.scale);
    const std::vector<float> scales = nearest.element_scales();
    for (size_t i = 0; i < values.size(); ++i) {
      const float exact = values[i] / scales[i];
      REQUIRE(std::abs(code(rounded.encoded, i) - code(nearest, i)) <= 1);
      if (exact > static_cast<float>(nearest.range.lowest) && exact < static_cast<float>(nearest.range.highest))
        REQUIRE(std::abs(static_cast<float>(code(rounded.encoded, i)) - exact) <= 1.0f);
    }
    std::vector<float> decoded = rounded.encoded.decoded();
    const at::Tensor after = at::from_blob(decoded.data(), {60, 20}, at::kFloat);
    const double error = at::matmul(x, after - matrix).square().sum(at::kDouble).item<double>() /
                         at::matmul(x, matrix).square().sum(at::kDouble).item<double>();
    CHECK(rounded.errors->rounded == doctest::Approx(error).epsilon(1e-3));
    const RoundedWeight again = round_adaround(values, {{1, 60, 20}, 1}, nearest, samples, few_steps());
    CHECK(again.encoded.codes == rounded.encoded.codes);
  }
}

TEST_CASE("adaround: inputs that differ from the float network's are made up for") {
  const at::Tensor x = correlated(600, 40), noisy = x * 1.1, matrix = at::randn({40, 16});
  const LayerSamples samples{noisy.unsqueeze(0), at::matmul(x, matrix).unsqueeze(0), {}};
  const std::vector<float> values = floats(matrix);
  const EncodedWeight nearest = encode_nearest(values, {{40, 16}, 1, 0, false}, signed_codes(4), ScaleSearch::mse);
  const RoundedWeight rounded = round_adaround(values, {{1, 40, 16}, 1}, nearest, samples, few_steps());
  // More of the codes are nearer to zero than the weights are.
  double before = 0, after = 0;
  const std::vector<float> decoded = rounded.encoded.decoded(), plain = nearest.decoded();
  for (size_t i = 0; i < values.size(); ++i) {
    before += std::abs(plain[i]);
    after += std::abs(decoded[i]);
  }
  CHECK(after < 0.99 * before);
  CHECK(rounded.errors->rounded < 0.7 * rounded.errors->nearest);
}

TEST_CASE("adaround: outputs that a Relu sets to zero do not count, and groups have their own inputs") {
  at::Tensor x = at::randn({2, 400, 18});
  x[0] = correlated(400, 18);
  x[1] = correlated(400, 18);
  const at::Tensor weight = at::randn({2, 5, 18});
  LayerSamples samples{x, at::matmul(x, weight.transpose(1, 2)), {}};
  samples.end.bias = at::randn({2, 1, 5});
  samples.end.low = 0;
  samples.targets = at::clamp(samples.targets + samples.end.bias, 0);
  const std::vector<float> values = floats(weight);
  const WeightLayout layout{{10, 18, 1}, 2};
  const EncodedWeight nearest =
      encode_nearest(values, {{10, 2, 3, 3}, 0, 0, false}, symmetric_codes(4), ScaleSearch::mse);
  const RoundedWeight rounded = round_adaround(values, layout, nearest, samples, few_steps());
  const auto error = [&](const EncodedWeight& of) {
    std::vector<float> decoded = of.decoded();
    const at::Tensor matrices = at::from_blob(decoded.data(), {2, 5, 18}, at::kFloat);
    const at::Tensor outputs = at::clamp(at::matmul(x, matrices.transpose(1, 2)) + samples.end.bias, 0);
    return (outputs - samples.targets).square().sum(at::kDouble).item<double>() /
           samples.targets.square().sum(at::kDouble).item<double>();
  };
  CHECK(error(rounded.encoded) < 0.85 * error(nearest));
  CHECK(error(rounded.encoded) == doctest::Approx(rounded.errors->rounded).epsilon(1e-3));
  CHECK(error(nearest) == doctest::Approx(rounded.errors->nearest).epsilon(1e-3));
}

TEST_CASE("adaround: weights that are codes already stay, and that is said") {
  const std::vector<float> values = {1, -2, 3, 7, 0, -7, 4, 5};
  const at::Tensor x = at::randn({1, 50, 4});
  std::vector<float> copy = values;
  const at::Tensor matrix = at::from_blob(copy.data(), {1, 2, 4}, at::kFloat);
  const LayerSamples samples{x, at::matmul(x, matrix.transpose(1, 2)), {}};
  const EncodedWeight nearest = encode_nearest(values, {{2, 4}, 0, 0, true}, symmetric_codes(4), ScaleSearch::absmax);
  const RoundedWeight rounded = round_adaround(values, {{2, 4, 1}, 1}, nearest, samples, few_steps());
  CHECK(rounded.encoded.codes == nearest.codes);
  CHECK(rounded.errors->rounded <= rounded.errors->nearest);
}
