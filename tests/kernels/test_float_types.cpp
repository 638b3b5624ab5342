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

TEST_CASE("float_types: every 16-bit value comes back, and what lies between two goes to the nearest, halves to even") {
  int wrong = 0;
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) {  // binary16: the spacing to the next value halves exactly
    const auto low = static_cast<uint16_t>(bits), high = static_cast<uint16_t>(bits + 1);
    const float a = fp16_to_float(low), b = bits + 1 < 0x7c00 ? fp16_to_float(high) : 65536.0f, middle = (a + b) / 2;
    const uint16_t even = bits % 2 == 0 ? low : high;
    wrong += float_to_fp16(a) == low && float_to_fp16(-a) == (low | 0x8000) ? 0 : 1;
    wrong += float_to_fp16(middle) == even && float_to_fp16(-middle) == (even | 0x8000) ? 0 : 1;
    wrong +=
        float_to_fp16(std::nextafter(middle, a)) == low && float_to_fp16(std::nextafter(middle, b)) == high ? 0 : 1;
  }
  for (uint32_t bits = 0; bits < 0x7f80; ++bits) {
    const float a = bf16_to_float(static_cast<uint16_t>(bits));
    const float middle = bits_float(bits << 16 | 0x8000u);
    wrong += float_to_bf16(a) == bits && float_to_bf16(-a) == (bits | 0x8000) ? 0 : 1;
    wrong += float_to_bf16(middle) == (bits % 2 == 0 ? bits : bits + 1) ? 0 : 1;
    wrong += float_to_bf16(bits_float(bits << 16 | 0x7fffu)) == bits ? 0 : 1;
    wrong += float_to_bf16(bits_float(bits << 16 | 0x8001u)) == bits + 1 ? 0 : 1;
  }
  CHECK(wrong == 0);
  CHECK(float_to_fp16(1e30f) == 0x7c00);
  CHECK(float_to_fp16(-INFINITY) == 0xfc00);
  CHECK(float_to_bf16(INFINITY) == 0x7f80);
  CHECK(std::isnan(fp16_to_float(float_to_fp16(NAN))));
  CHECK(std::isnan(bf16_to_float(float_to_bf16(bits_float(0x7f800001u)))));
}

TEST_CASE("float_types: finite is neither inf nor NaN") {
  CHECK(is_finite(3.4028235e38f));
  CHECK(is_finite(-1e-45f));
  CHECK_FALSE(is_finite(INFINITY));
  CHECK_FALSE(is_finite(-INFINITY));
  CHECK_FALSE(is_finite(NAN));
}

}  // namespace pare::kernels
