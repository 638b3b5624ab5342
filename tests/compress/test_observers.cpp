#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>

#include "compress/observers.hpp"
#include "src/core/error.hpp"
#include "src/core/random.hpp"

namespace pare::test {
namespace {

kernels::Histogram histogram_of(const std::vector<float>& values) {
  kernels::Histogram histogram;
  kernels::observe_histogram({}, {values.data(), kernels::FloatType::fp32, static_cast<int64_t>(values.size())},
                             &histogram);
  return histogram;
}

std::vector<float> normal_values(size_t count, float outlier = 0) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = random_normal({9, 4}, i);
  if (outlier != 0) values[count / 2] = outlier;
  return values;
}

// Mean squared error of the values after rounding, by the formula of ONNX.
double error_of(const std::vector<float>& values, const ActivationCodes& codes) {
  double sum = 0;
  for (const float value : values) {
    const float code = std::clamp(std::nearbyint(value / codes.scale) + static_cast<float>(codes.zero_point),
                                  static_cast<float>(codes.lowest), static_cast<float>(codes.highest));
    const double error = value - double{(code - static_cast<float>(codes.zero_point)) * codes.scale};
    sum += error * error;
  }
  return sum / static_cast<double>(values.size());
}

ActivationCodes codes_by(const std::vector<float>& values, const std::string& method, CodeForm form = {}) {
  return codes_of(choose_range(histogram_of(values), Calibration::parse(method), form), false, form);
}

}  // namespace

TEST_CASE("observers: minmax covers all values, with zero an exact code") {
  const std::vector<float> values = {-1, 0.5f, 3};
  const ActivationCodes codes = codes_by(values, "minmax");
  CHECK(codes.scale == doctest::Approx(4.0 / 255));
  CHECK(codes.zero_point == 64);
  CHECK(codes.lowest == 0);
  CHECK(codes.highest == 255);
}

TEST_CASE("observers: mse is never worse than minmax, and the better the fewer bits there are") {
  const auto values = normal_values(20000, 8);
  double before = 1;
  for (const int bits : {8, 4, 3, 2}) {
    const CodeForm form{bits};
    const double ratio =
        error_of(values, codes_by(values, "mse", form)) / error_of(values, codes_by(values, "minmax", form));
    CHECK(ratio <= 1.0 + 1e-9);
    CHECK(ratio <= before + 0.1);
    before = ratio;
  }
  CHECK(before < 0.5);
}

TEST_CASE("observers: mse finds the best range to within a few per cent of a search over the values themselves") {
  for (const int bits : {8, 4}) {
    const auto values = normal_values(5000, 20);
    const CodeForm form{bits};
    double least = 1e9;
    for (int low = 1; low <= 80; ++low)
      for (int high = 1; high <= 80; ++high) {
        const ObservedRange range{-0.1f * static_cast<float>(low), 0.25f * static_cast<float>(high)};
        least = std::min(least, error_of(values, codes_of(range, false, form)));
      }
    CHECK(error_of(values, codes_by(values, "mse", form)) < 1.06 * least);
  }
}

TEST_CASE("observers: percentile cuts outliers on both sides, entropy cuts them on the far side") {
  const auto values = normal_values(100000, 100);
  const ObservedRange cut = choose_range(histogram_of(values), Calibration::parse("percentile:99"), {});
  CHECK(cut.low == doctest::Approx(-2.576).epsilon(0.05));
  CHECK(cut.high == doctest::Approx(2.576).epsilon(0.05));
  const ObservedRange entropy = choose_range(histogram_of(values), Calibration::parse("entropy"), {});
  CHECK(entropy.high < 20);
  CHECK(entropy.high > 2.5);
  CHECK(entropy.low < -2.5);
}

TEST_CASE("observers: forms of codes") {
  const ObservedRange range{-1, 3};
  CHECK(codes_of(range, false, {8, true}).zero_point == 0);
  CHECK(codes_of(range, false, {8, true}).lowest == -128);
  CHECK(codes_of(range, false, {8, true}).scale == doctest::Approx(3.0 / 127));
  CHECK(codes_of(range, false, {8, false, true}).zero_point == 128);
  CHECK(codes_of({0, 3}, false, {8, false, true}).zero_point == 0);
  CHECK(codes_of(range, true, {}).zero_point == 0);
  CHECK(codes_of(range, true, {}).scale == doctest::Approx(3.0 / 255));
  CHECK(codes_of(range, false, {4}).highest == 15);
}

TEST_CASE("observers: constant values are exact, zeros have the scale 1") {
  for (const char* method : {"minmax", "percentile:99.9", "entropy", "mse"}) {
    CAPTURE(method);
    for (const float value : {5.0f, -0.3f}) {
      const std::vector<float> values(100, value);
      CHECK(error_of(values, codes_by(values, method)) < 1e-12);
    }
    const ActivationCodes zeros = codes_by(std::vector<float>(100, 0.0f), method);
    CHECK(zeros.scale == 1);
    CHECK(zeros.zero_point == 0);
  }
}

TEST_CASE("observers: bad methods are refused by name") {
  for (const char* text : {"max", "percentile:", "percentile:101", "percentile:40", "percentile:x"})
    CHECK_THROWS_WITH_AS(Calibration::parse(text), doctest::Contains("--calibration"), Error);
}

}  // namespace pare::test
