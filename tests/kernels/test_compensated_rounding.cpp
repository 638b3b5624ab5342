#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/compensated_rounding.hpp"
#include "src/core/error.hpp"
#include "src/core/random.hpp"
#include "src/core/threads.hpp"

namespace pare::test {
namespace {

struct Case {
  int64_t rows, width, stride;
  std::vector<float> values, scale, factor, errors;
  std::vector<uint8_t> codes;

  Case(int64_t r, int64_t w, int64_t s)
      : rows(r),
        width(w),
        stride(s),
        values(size()),
        scale(size()),
        factor(static_cast<size_t>(r * s)),
        errors(size()),
        codes(size()) {
    for (size_t i = 0; i < size(); ++i) {
      values[i] = random_normal({1, 1}, i);
      scale[i] = 0.1f + 0.2f * random_uniform({1, 2}, i);
    }
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = i; j < rows; ++j)
        factor[static_cast<size_t>(i * stride + j)] =
            i == j ? 0.5f + random_uniform({1, 3}, static_cast<uint64_t>(i))
                   : 0.2f * random_normal({1, 4}, static_cast<uint64_t>(i * rows + j));
  }
  size_t size() const { return static_cast<size_t>(rows * width); }
  void run() {
    kernels::round_compensated(values.data(), scale.data(), factor.data(), stride, rows, width, {-8, 7}, codes.data(),
                               errors.data());
  }
};

}  // namespace

TEST_CASE("compensated_rounding: each column is what the recurrence says in double") {
  for (const auto& [rows, width, stride] :
       {std::array<int64_t, 3>{1, 1, 1}, {7, 65, 9}, {128, 130, 200}, {33, 64, 33}}) {
    Case one(rows, width, stride);
    one.run();
    for (int64_t c = 0; c < width; ++c)
      for (int64_t i = 0; i < rows; ++i) {
        const auto at = static_cast<size_t>(i * width + c);
        double value = one.values[at];
        for (int64_t j = 0; j < i; ++j)
          value -= double{one.factor[static_cast<size_t>(j * stride + i)]} *
                   double{one.errors[static_cast<size_t>(j * width + c)]};
        const double quotient = value / double{one.scale[at]};
        const int code = static_cast<int8_t>(one.codes[at]);
        REQUIRE((code >= -8 && code <= 7));
        // The nearest code, up to float32's rounding of the sum.
        REQUIRE(std::abs(std::clamp(quotient, -8.0, 7.0) - code) < 0.501);
        const double error =
            (value - code * double{one.scale[at]}) / double{one.factor[static_cast<size_t>(i * stride + i)]};
        REQUIRE(one.errors[at] == doctest::Approx(error).epsilon(1e-3));
      }
  }
}

TEST_CASE("compensated_rounding: the same bytes for any number of threads") {
  const int before = thread_count();
  Case one(100, 300, 128), other(100, 300, 128);
  set_threads(1);
  one.run();
  set_threads(3);
  other.run();
  set_threads(before);
  CHECK(one.codes == other.codes);
  CHECK(one.errors == other.errors);
}

TEST_CASE("compensated_rounding: too many rows are refused") {
  Case one(129, 2, 129);
  CHECK_THROWS_AS(one.run(), Error);
}

}  // namespace pare::test
