#include <array>

#include <doctest/doctest.h>

#include "src/data/sample_cache.hpp"

namespace pare {
namespace {

std::array<std::byte, 4> sample(int value) {
  std::array<std::byte, 4> bytes{};
  bytes.fill(static_cast<std::byte>(value));
  return bytes;
}

TEST_CASE("sample_cache: only the samples that will be read need to fit in half of the free memory") {
  CHECK(!SampleCache(1000, 1000, 4, 7999).keeps());
  CHECK(SampleCache(1000, 1000, 4, 8000).keeps());
  const SampleCache limited(1000, 2, 4, 16);
  REQUIRE(limited.keeps());
  limited.keep(999, sample(1).data());
  limited.keep(7, sample(2).data());
  REQUIRE(limited.find(999) != nullptr);
  CHECK(*limited.find(999) == std::byte{1});
  CHECK(*limited.find(7) == std::byte{2});
  CHECK(limited.find(8) == nullptr);
}

TEST_CASE("sample_cache: a full one keeps what it has") {
  const SampleCache cache(10, 1, 4, 100);
  cache.keep(3, sample(1).data());
  cache.keep(4, sample(2).data());
  cache.keep(3, sample(5).data());
  CHECK(*cache.find(3) == std::byte{1});
  CHECK(cache.find(4) == nullptr);
}

TEST_CASE("sample_cache: caches share what is free") {
  const SampleCache first(1, 1, 40, 100);
  CHECK(first.keeps());
  CHECK(!SampleCache(1, 1, 11, 100).keeps());
  CHECK(SampleCache(1, 1, 10, 100).keeps());
}

}  // namespace
}  // namespace pare
