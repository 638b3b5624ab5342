#include <cmath>

#include <doctest/doctest.h>

#include "kernels/float_types.hpp"

namespace pare::kernels {

TEST_CASE("float_types: every binary16 value widens exactly") {
  int wrong = 0;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const int exponent = static_cast<int>(bits >> 10 & 31), mantissa = static_cast<int>(bits & 1023);
    const float got = fp16_to_float(static_cast<uint16_t>(bits));
    const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
    if (exponent == 31) {
      const bool same = mantissa == 0 ? got == sign * INFINITY : std::isnan(got);
      wrong += same ? 0 : 1;
    } else {
      const double value = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
      wrong += got == sign * value && std::signbit(got) == (sign < 0) ? 0 : 1;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("float_types: bfloat16 is the upper half of a float") {
  CHECK(bf16_to_float(0x3f80) == 1.0f);
  CHECK(bf16_to_float(0xc2f7) == -123.5f);
  CHECK(bf16_to_float(0x0001) == std::ldexp(1.0f, -133));
  CHECK(std::isinf(bf16_to_float(0x7f80)));
  CHECK(std::isnan(bf16_to_float(0x7fc0)));
}

TEST_CASE("float_types: finite is neither inf nor NaN") {
  CHECK(is_finite(3.4028235e38f));
  CHECK(is_finite(-1e-45f));
  CHECK_FALSE(is_finite(INFINITY));
  CHECK_FALSE(is_finite(-INFINITY));
  CHECK_FALSE(is_finite(NAN));
}

}  // namespace pare::kernels
