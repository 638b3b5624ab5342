#include <algorithm>

#include "kernels/fake_quant.hpp"
#include "kernels/float_types.hpp"
#include "kernels/quantize.hpp"
#include "src/core/error.hpp"
#include "src/core/threads.hpp"
#include "tests/support/twin_cases.hpp"

namespace pare::test {
namespace {

using kernels::AxisView;
using kernels::FakeQuant;
using kernels::FloatType;

struct Grid {
  int lowest, highest, zero_point;
};
constexpr Grid grids[] = {{-128, 127, 0}, {0, 255, 0}, {0, 255, 117}, {-8, 7, -8}, {-2, 1, 0}, {-1, 1, 0}};

const std::vector<AxisView> views = {{1, 1, 1}, {1, 1, 31},   {1, 1, 1024}, {1, 1, 5003}, {3, 1, 700}, {1, 7, 45},
                                     {5, 7, 9}, {2, 3, 2051}, {11, 13, 1},  {130, 5, 1},  {1, 3, 1},   {64, 1027, 1}};

float scale_at(int64_t channel) { return 0.02f + 0.3f * static_cast<float>(channel % 5); }
// Between two codes, so that rounding shows.
float zero_at(int64_t channel) { return static_cast<float>(channel % 3) - 0.3f; }

// What the header says, in double, with u compared as the fp32 quotient it is.
struct Expected {
  std::vector<float> result;
  std::vector<double> input_gradient, scale_gradient, zero_gradient, scale_magnitude;
};

Expected expected_of(const std::vector<float>& values, const std::vector<float>& gradient, AxisView view, Grid grid,
                     bool learned_zero) {
  Expected expected;
  const auto channels = static_cast<size_t>(view.length);
  expected.scale_gradient.resize(channels);
  expected.zero_gradient.resize(channels);
  expected.scale_magnitude.resize(channels);
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t c = i / static_cast<size_t>(view.inner) % channels;
    const float scale = scale_at(static_cast<int64_t>(c));
    int zero = grid.zero_point;
    if (learned_zero) {
      const double given = std::nearbyint(zero_at(static_cast<int64_t>(c)));
      zero = static_cast<int>(std::clamp(given, double{grid.lowest * 1.0}, double{grid.highest * 1.0}));
    }
    const double u = double{values[i] / scale};
    const double low = grid.lowest - zero, high = grid.highest - zero;
    const double code = std::nearbyint(std::clamp(u, low, high));
    expected.result.push_back(static_cast<float>(code) * scale);
    const bool inside = u > low && u < high;
    const double g = gradient[i];
    expected.input_gradient.push_back(inside ? g : 0);
    const double term = g * (inside ? code - u : u <= low ? low : high);
    expected.scale_gradient[c] += term;
    expected.scale_magnitude[c] += std::fabs(term);
    expected.zero_gradient[c] -= inside ? 0 : g * scale;
  }
  return expected;
}

std::vector<float> per_channel(int64_t channels, float (*of)(int64_t)) {
  std::vector<float> list;
  for (int64_t c = 0; c < channels; ++c) list.push_back(of(c));
  return list;
}

struct Gradients {
  std::vector<float> result, input, scale, zero;
};

// Forward and backward in fp32.
Gradients run(TwinDevice& device, const std::vector<float>& values, const std::vector<float>& gradient, AxisView view,
              Grid grid, bool learned_zero, float gradient_scale, size_t shift) {
  const std::vector<float> zeros(values.size()), channel_zeros(static_cast<size_t>(view.length));
  const TwinBuffer<float> x(device, values, shift), g(device, gradient, shift);
  const TwinBuffer<float> result(device, zeros, shift), input_gradient(device, zeros, shift);
  const TwinBuffer<float> scale(device, per_channel(view.length, scale_at));
  const TwinBuffer<float> zero_points(device, per_channel(view.length, zero_at));
  const TwinBuffer<float> scale_gradient(device, channel_zeros), zero_gradient(device, channel_zeros);
  const FakeQuant quant{
      x.get(),         FloatType::fp32, view,        scale.get(), learned_zero ? zero_points.get() : nullptr,
      grid.zero_point, grid.lowest,     grid.highest};
  fake_quantize(device.device(), quant, result.get());
  fake_quantize_backward(device.device(), quant, g.get(), gradient_scale, input_gradient.get(), scale_gradient.get(),
                         zero_gradient.get());
  return {result.read(), input_gradient.read(), scale_gradient.read(), zero_gradient.read()};
}

void check_close(const std::vector<float>& got, const std::vector<double>& expected,
                 const std::vector<double>& magnitude) {
  for (size_t c = 0; c < got.size(); ++c) CHECK(std::fabs(got[c] - expected[c]) <= 1e-5 * magnitude[c] + 1e-30);
}

}  // namespace

TEST_CASE("fake_quant: values and gradients follow the formulas, for every layout, grid and alignment") {
  on_every_device([](TwinDevice& device) {
    for (const AxisView& view : views)
      for (const Grid& grid : grids)
        for (const bool learned : {false, true}) {
          if (view.outer * view.length > 1000 && grid.highest != 127) continue;
          INFO(view.outer << " x " << view.length << " x " << view.inner << ", " << grid.lowest << " to "
                          << grid.highest << " zero " << grid.zero_point << ", learned zero point " << learned);
          const int64_t size = view.outer * view.length * view.inner;
          const std::vector<float> values = make_values(Values::normal, size, 1);
          const std::vector<float> gradient = make_values(Values::normal, size, 2);
          const Expected expected = expected_of(values, gradient, view, grid, learned);
          const Gradients got = run(device, values, gradient, view, grid, learned, 1.0f, learned ? 1 : 0);
          for (size_t i = 0; i < got.result.size(); ++i) CHECK(got.result[i] == expected.result[i]);
          for (size_t i = 0; i < got.input.size(); ++i) CHECK(got.input[i] == expected.input_gradient[i]);
          check_close(got.scale, expected.scale_gradient, expected.scale_magnitude);
          const std::vector<double> magnitude(expected.zero_gradient.size(), static_cast<double>(size));
          if (learned) check_close(got.zero, expected.zero_gradient, magnitude);
        }
  });
}

TEST_CASE("fake_quant: the gradients of step and zero point are finite differences where the result is smooth") {
  // Values clipped on either side: the result is (bound - z) * scale, smooth in both but for the rounding of z, which
  // the straight-through estimator takes for the identity.
  on_every_device([](TwinDevice& device) {
    const std::vector<float> values = {-9.0f, 9.5f, 30.0f, -17.0f};
    const std::vector<float> gradient = {0.5f, -1.25f, 2.0f, 0.75f};
    const auto loss = [&](double scale, double zero) {
      double sum = 0;
      for (size_t i = 0; i < values.size(); ++i) sum += gradient[i] * ((values[i] < 0 ? 0 : 15) - zero) * scale;
      return sum;
    };
    const TwinBuffer<float> x(device, values), g(device, gradient), scale(device, {0.25f}), zero(device, {2.0f});
    const TwinBuffer<float> dx(device, std::vector<float>(4)), ds(device, {0.0f}), dz(device, {0.0f});
    const FakeQuant quant{x.get(), FloatType::fp32, {1, 1, 4}, scale.get(), zero.get(), 0, 0, 15};
    fake_quantize_backward(device.device(), quant, g.get(), 1.0f, dx.get(), ds.get(), dz.get());
    const double h = 1e-3;
    CHECK(ds.read()[0] == doctest::Approx((loss(0.25 + h, 2) - loss(0.25 - h, 2)) / (2 * h)));
    CHECK(dz.read()[0] == doctest::Approx((loss(0.25, 2 + h) - loss(0.25, 2 - h)) / (2 * h)));
    CHECK(dx.read() == std::vector<float>(4, 0.0f));
  });
}

TEST_CASE("fake_quant: equal to quantize and dequantize, and special values as there") {
  on_every_device([](TwinDevice& device) {
    std::vector<float> values = make_values(Values::wide, 3000, 4);
    for (const float special : {-2.5f, -1.5f, -0.5f, 0.5f, 1.5f, INFINITY, -INFINITY, NAN, 1e30f, -0.0f})
      values.push_back(special);
    const auto size = static_cast<int64_t>(values.size());
    const TwinBuffer<float> x(device, values), scale(device, {0.7f});
    const TwinBuffer<float> got(device, std::vector<float>(values.size())), back(device, got.initial());
    const TwinBuffer<uint8_t> codes(device, std::vector<uint8_t>(values.size())), zero(device, {9});
    fake_quantize(device.device(), {x.get(), FloatType::fp32, {1, 1, size}, scale.get(), nullptr, 9, -128, 127},
                  got.get());
    const kernels::ScaleLayout layout{{1, size, 1}, size};
    quantize(device.device(), x.get(), layout, scale.get(), zero.get(), kernels::IntegerType::int8, codes.get());
    dequantize(device.device(), codes.get(), layout, scale.get(), zero.get(), kernels::IntegerType::int8, back.get());
    const std::vector<float> expected = back.read(), result = got.read();
    for (size_t i = 0; i < values.size(); ++i) CHECK(result[i] == expected[i]);
  });
}

TEST_CASE("fake_quant: a Relu before a grid that starts at its zero point changes nothing") {
  on_every_device([](TwinDevice& device) {
    const std::vector<float> values = make_values(Values::normal, 3000, 5),
                             gradient = make_values(Values::normal, 3000, 6);
    std::vector<float> positive = values;
    for (float& value : positive) value = std::max(value, 0.0f);
    for (const Grid grid : {Grid{0, 15, 0}, Grid{-8, 7, -8}}) {
      const Gradients fused = run(device, values, gradient, {1, 1, 3000}, grid, false, 0.5f, 0);
      const Gradients separate = run(device, positive, gradient, {1, 1, 3000}, grid, false, 0.5f, 0);
      for (size_t i = 0; i < values.size(); ++i) {
        CHECK(fused.result[i] == separate.result[i]);
        CHECK(fused.input[i] == (values[i] > 0 ? separate.input[i] : 0.0f));
      }
      check_same_bytes(fused.scale, separate.scale);
    }
  });
}

TEST_CASE("fake_quant: clip_only leaves values inside out of the step's gradient, and scales apply to both sums") {
  on_every_device([](TwinDevice& device) {
    const TwinBuffer<float> x(device, {0.3f, 5.0f, -4.0f, 1.4f}), g(device, {1.0f, 10.0f, 100.0f, 1000.0f});
    const TwinBuffer<float> scale(device, {1.0f}), dx(device, std::vector<float>(4)), ds(device, {9.0f});
    FakeQuant quant{x.get(), FloatType::fp32, {1, 1, 4}, scale.get(), nullptr, 0, 0, 3};
    quant.clip_only = true;
    fake_quantize_backward(device.device(), quant, g.get(), 0.25f, dx.get(), ds.get(), nullptr);
    CHECK(ds.read()[0] == 0.25f * 3 * 10);
    CHECK(dx.read() == std::vector<float>{1, 0, 0, 1000});
  });
}

TEST_CASE("fake_quant: 16-bit types are read as what they mean and rounded half to even") {
  on_every_device([](TwinDevice& device) {
    for (const FloatType type : {FloatType::bf16, FloatType::fp16})
      for (const AxisView view : {AxisView{1, 1, 1500}, AxisView{2, 3, 250}, AxisView{300, 5, 1}}) {
        const auto narrow = [&](float value) {
          return type == FloatType::bf16 ? kernels::float_to_bf16(value) : kernels::float_to_fp16(value);
        };
        const auto widen = [&](uint16_t bits) {
          return type == FloatType::bf16 ? kernels::bf16_to_float(bits) : kernels::fp16_to_float(bits);
        };
        std::vector<uint16_t> x16, g16;
        std::vector<float> x, g;
        for (const float value : make_values(Values::normal, 1500, 7)) x16.push_back(narrow(value));
        for (const float value : make_values(Values::normal, 1500, 8)) g16.push_back(narrow(value));
        for (const uint16_t bits : x16) x.push_back(widen(bits));
        for (const uint16_t bits : g16) g.push_back(widen(bits));
        const Gradients expected = run(device, x, g, view, grids[0], true, 0.125f, 0);
        const TwinBuffer<uint16_t> values(device, x16, 1), gradient(device, g16, 1);
        const TwinBuffer<uint16_t> result(device, x16, 1), input_gradient(device, x16, 1);
        const TwinBuffer<float> scale(device, per_channel(view.length, scale_at));
        const TwinBuffer<float> zero_points(device, per_channel(view.length, zero_at));
        const TwinBuffer<float> ds(device, scale.initial()), dz(device, scale.initial());
        const FakeQuant quant{values.get(), type, view, scale.get(), zero_points.get(), 0, -128, 127};
        fake_quantize(device.device(), quant, result.get());
        fake_quantize_backward(device.device(), quant, gradient.get(), 0.125f, input_gradient.get(), ds.get(),
                               dz.get());
        std::vector<uint16_t> result16, input16;
        for (const float value : expected.result) result16.push_back(narrow(value));
        for (const float value : expected.input) input16.push_back(narrow(value));
        check_same_bytes(result.read(), result16);
        check_same_bytes(input_gradient.read(), input16);
        check_same_bytes(ds.read(), expected.scale);
        check_same_bytes(dz.read(), expected.zero);
      }
  });
}

TEST_CASE("fake_quant: the gradients are the same bytes for any number of threads") {
  on_every_device([](TwinDevice& device) {
    const int before = thread_count();
    for (const AxisView view : {AxisView{1, 1, 300'000}, AxisView{3, 40, 2500}, AxisView{3000, 100, 1}}) {
      if (!device.runs_large()) continue;
      const std::vector<float> values = make_values(Values::normal, 300'000, 1),
                               gradient = make_values(Values::normal, 300'000, 2);
      set_threads(1);
      const Gradients one = run(device, values, gradient, view, grids[2], true, 1.0f, 0);
      set_threads(3);
      const Gradients three = run(device, values, gradient, view, grids[2], true, 1.0f, 0);
      check_same_bytes(three.scale, one.scale);
      check_same_bytes(three.zero, one.zero);
      check_same_bytes(three.input, one.input);
    }
    set_threads(before);
  });
}

TEST_CASE("fake_quant: empty tensors have zero gradients, bad arguments are refused") {
  on_every_device([](TwinDevice& device) {
    const TwinBuffer<float> one(device, {1.0f}), gradient(device, {5.0f});
    fake_quantize_backward(device.device(), {nullptr, FloatType::fp32, {0, 1, 4}, one.get(), nullptr, 0, 0, 1}, nullptr,
                           1.0f, nullptr, gradient.get(), nullptr);
    CHECK(gradient.read()[0] == 0.0f);
    const auto refused = [&](AxisView view, const float* scale, int zero, int lowest, int highest) {
      CHECK_THROWS_AS(
          fake_quantize(device.device(), {one.get(), FloatType::fp32, view, scale, nullptr, zero, lowest, highest},
                        gradient.get()),
          Error);
    };
    refused({1, 0, 1}, one.get(), 0, 0, 1);
    refused({1, 1, 1}, nullptr, 0, 0, 1);
    refused({1, 1, 1}, one.get(), 2, 0, 1);
    refused({1, 1, 1}, one.get(), 0, 1, 1);
    refused({1, 1, 1}, one.get(), 0, 0, 1 << 20);
  });
}

}  // namespace pare::test
