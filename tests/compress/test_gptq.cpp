#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <doctest/doctest.h>

#include "compress/gptq.hpp"

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

Hessian hessian_of(const at::Tensor& rows) {
  Hessian hessian(rows.size(0), rows.size(2), at::kCPU);
  hessian.add(rows);
  return hessian;
}

double output_error(const at::Tensor& x, const at::Tensor& before, const EncodedWeight& weight) {
  std::vector<float> decoded = weight.decoded();
  const at::Tensor after = at::from_blob(decoded.data(), before.sizes(), at::kFloat);
  const double size = at::matmul(x, before).square().sum(at::kDouble).item<double>();
  return at::matmul(x, after - before).square().sum(at::kDouble).item<double>() / size;
}

}  // namespace

TEST_CASE("gptq: outputs change less than with nearest, in every number of bits and size of block") {
  const at::Tensor x = correlated(500, 200), matrix = at::randn({200, 70});
  const std::vector<RoundingOrder> orders = rounding_orders(hessian_of(x.unsqueeze(0)));
  const std::vector<float> values = floats(matrix);
  for (const int bits : {2, 3, 4, 8})
    for (const int64_t block : {32, 128, 0}) {
      const ScaleGroups groups{{200, 70}, block == 0 ? size_t{1} : size_t{0}, block, false};
      const EncodedWeight nearest = encode_nearest(values, groups, signed_codes(bits), ScaleSearch::mse);
      const RoundedWeight rounded = round_gptq(values, {{1, 200, 70}, 1}, nearest, orders);
      REQUIRE(rounded.errors.has_value());
      CHECK_FALSE(rounded.errors->kept_nearest);
      CHECK(rounded.encoded.scale == nearest.scale);
      CHECK(output_error(x, matrix, nearest) == doctest::Approx(rounded.errors->nearest).epsilon(1e-2));
      CHECK(output_error(x, matrix, rounded.encoded) == doctest::Approx(rounded.errors->rounded).epsilon(1e-2));
      CHECK(rounded.errors->rounded < 0.7 * rounded.errors->nearest);
      const RoundedWeight again = round_gptq(values, {{1, 200, 70}, 1}, nearest, orders);
      CHECK(again.encoded.codes == rounded.encoded.codes);
    }
}

TEST_CASE("gptq: groups of a convolution are rounded by their own inputs, channel by channel") {
  at::Tensor x = at::randn({2, 300, 18});
  x[0] = correlated(300, 18);
  x[1] = correlated(300, 18);
  const at::Tensor weight = at::randn({2, 5, 18});
  const std::vector<float> values = floats(weight);
  const ScaleGroups groups{{10, 2, 3, 3}, 0, 0, false};
  const EncodedWeight nearest = encode_nearest(values, groups, symmetric_codes(4), ScaleSearch::mse);
  const RoundedWeight rounded = round_gptq(values, {{10, 18, 1}, 2}, nearest, rounding_orders(hessian_of(x)));
  std::vector<float> decoded = rounded.encoded.decoded(), before = nearest.decoded();
  const auto error = [&](std::vector<float>& of, int64_t g) {
    const at::Tensor after = at::from_blob(of.data(), {2, 5, 18}, at::kFloat);
    return at::matmul(x[g], (after[g] - weight[g]).t()).square().sum(at::kDouble).item<double>();
  };
  for (const int64_t g : {0, 1}) CHECK(error(decoded, g) < 0.8 * error(before, g));
}

TEST_CASE("gptq: independent inputs leave nothing to take over, nearest is kept and said to be") {
  // H is diagonal: every weight on its own, where nearest is best.
  const at::Tensor x = at::randn({1, 3}).diag_embed()[0].unsqueeze(0);
  const std::vector<float> values = floats(at::randn({3, 20}));
  const EncodedWeight nearest = encode_nearest(values, {{3, 20}, 1, 0, false}, signed_codes(4), ScaleSearch::mse);
  const RoundedWeight rounded = round_gptq(values, {{1, 3, 20}, 1}, nearest, rounding_orders(hessian_of(x)));
  CHECK(rounded.errors->kept_nearest);
  CHECK(rounded.errors->rounded == rounded.errors->nearest);
  CHECK(rounded.encoded.codes == nearest.codes);
}

TEST_CASE("gptq: inputs that were always zero are rounded to nearest") {
  at::Tensor x = correlated(200, 40);
  x.select(1, 7).zero_();
  const std::vector<float> values = floats(at::randn({40, 30}));
  const EncodedWeight nearest = encode_nearest(values, {{40, 30}, 1, 0, false}, signed_codes(4), ScaleSearch::mse);
  const RoundedWeight rounded =
      round_gptq(values, {{1, 40, 30}, 1}, nearest, rounding_orders(hessian_of(x.unsqueeze(0))));
  CHECK_FALSE(rounded.errors->kept_nearest);
  for (size_t c = 0; c < 30; ++c) CHECK((rounded.encoded.codes[7 * 30 + c] == nearest.codes[7 * 30 + c]));
}
