#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

#include "src/core/error.hpp"
#include "src/data/values.hpp"

namespace pare {
namespace {

// `values` converted, or the index of the first one that is refused as the only element -1.
template <class To, class From>
std::vector<To> converted(DType from, const std::vector<From>& values, DType to) {
  std::vector<To> result(values.size());
  const auto refused =
      convert_elements(from, reinterpret_cast<const std::byte*>(values.data()), static_cast<int64_t>(values.size()), to,
                       reinterpret_cast<std::byte*>(result.data()));
  if (refused) return {static_cast<To>(-1 - *refused)};
  return result;
}

TEST_CASE("values: integers keep their value or are refused") {
  using Wide = std::vector<int64_t>;
  CHECK(converted<int32_t>(DType::int64, Wide{-5, 2147483647}, DType::int32) == std::vector<int32_t>{-5, 2147483647});
  CHECK(converted<int32_t>(DType::int64, Wide{0, 2147483648}, DType::int32) == std::vector<int32_t>{-2});
  CHECK(converted<int8_t>(DType::int64, Wide{-129}, DType::uint8) == std::vector<int8_t>{-1});
  CHECK(converted<int64_t>(DType::uint64, std::vector<uint64_t>{1ull << 63}, DType::int64) == Wide{-1});
  CHECK(converted<int64_t>(DType::float32, std::vector<float>{3.0f, -2.0f}, DType::int64) == Wide{3, -2});
  CHECK(converted<int64_t>(DType::float32, std::vector<float>{3.0f, 0.5f}, DType::int64) == Wide{-2});
  CHECK(converted<int64_t>(DType::float64, std::vector<double>{9223372036854775808.0}, DType::int64) == Wide{-1});
  CHECK(converted<int64_t>(DType::float64, std::vector<double>{NAN}, DType::int64) == Wide{-1});
  CHECK(converted<uint8_t>(DType::int64, Wide{1, 0}, DType::boolean) == std::vector<uint8_t>{1, 0});
  CHECK(converted<int8_t>(DType::int64, Wide{1, 2}, DType::boolean) == std::vector<int8_t>{-2});
  CHECK(converted<int8_t>(DType::boolean, std::vector<uint8_t>{2}, DType::boolean) == std::vector<int8_t>{-1});
}

TEST_CASE("values: floats are rounded to nearest even in 16 bits") {
  const std::vector<float> values{1.0f, 1.00048828125f, 65504.0f, 0.1f, -3.0f};
  CHECK(converted<uint16_t>(DType::float32, values, DType::float16) ==
        std::vector<uint16_t>{0x3c00, 0x3c00, 0x7bff, 0x2e66, 0xc200});
  CHECK(converted<uint16_t>(DType::float32, values, DType::bfloat16) ==
        std::vector<uint16_t>{0x3f80, 0x3f80, 0x4780, 0x3dcd, 0xc040});
  const std::vector<uint16_t> halves{0x3c00, 0x2e66, 0x0001};
  std::vector<float> back(3);
  to_floats(DType::float16, reinterpret_cast<const std::byte*>(halves.data()), 3, back.data());
  CHECK(back == std::vector<float>{1.0f, 0.0999755859375f, 5.9604644775390625e-8f});
}

TEST_CASE("values: stored elements need no alignment") {
  std::vector<std::byte> bytes(1 + 2 * sizeof(double));
  const double stored[] = {1.5, -2.25};
  std::memcpy(bytes.data() + 1, stored, sizeof stored);
  std::vector<float> values(2);
  to_floats(DType::float64, bytes.data() + 1, 2, values.data());
  CHECK(values == std::vector<float>{1.5f, -2.25f});
  CHECK(element_text(DType::float64, bytes.data() + 9) == "-2.25");
}

TEST_CASE("values: texts and four-bit types are no numbers") {
  CHECK(is_numeric(DType::boolean));
  for (const DType type : {DType::string, DType::int4, DType::complex64, DType::undefined}) {
    CHECK(!is_numeric(type));
    std::byte nothing{};
    CHECK_THROWS_AS(to_floats(type, &nothing, 1, nullptr), Error);
  }
}

TEST_CASE("values: bytes are swapped within each element") {
  std::vector<std::byte> bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(std::byte(i));
  swap_bytes(bytes, 4);
  CHECK(bytes == std::vector<std::byte>{std::byte{3}, std::byte{2}, std::byte{1}, std::byte{0}, std::byte{7},
                                        std::byte{6}, std::byte{5}, std::byte{4}});
}

}  // namespace
}  // namespace pare
