#include <doctest/doctest.h>

#include "src/graph/tensor.hpp"

using namespace pare;

namespace {

Tensor nibbles(DType dtype, Shape shape, std::string packed) {
  return {dtype, std::move(shape), Bytes::own(std::move(packed))};
}

}  // namespace

TEST_CASE("tensor: zeros of 4-bit integers are counted, two in a byte, the unused half left out") {
  CHECK(count_nonzero(nibbles(DType::int4, {2, 2}, std::string("\x10\0", 2))) == 1);
  CHECK(count_nonzero(nibbles(DType::uint4, {4}, {'\xF1', '\x0F'})) == 3);
  CHECK(count_nonzero(nibbles(DType::int4, {3}, {'\x01', '\xF0'})) == 1);
  CHECK(count_nonzero(nibbles(DType::int4, {0}, "")) == 0);
}
