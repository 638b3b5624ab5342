#include <doctest/doctest.h>

#include "formats/hdf5_layout.hpp"
#include "kernels/bitmask.hpp"
#include "src/core/error.hpp"
#include "src/core/random.hpp"

namespace pare {
namespace {

constexpr RandomKey key{5, 1};

Bytes packed(const std::vector<uint8_t>& mask) {
  std::string bits(mask.size() / 8 + (mask.size() % 8 != 0 ? 1 : 0), '\0');
  for (size_t i = 0; i < mask.size(); ++i)
    if (mask[i] != 0) bits[i / 8] = static_cast<char>(static_cast<uint8_t>(bits[i / 8]) | 1u << (i % 8));
  return Bytes::own(bits);
}

// n of every m ones along the middle of [outer, length, inner], at random places.
std::vector<uint8_t> neighbours(int64_t outer, int64_t length, int64_t inner, int64_t n, int64_t m) {
  std::vector<uint8_t> mask(static_cast<size_t>(outer * length * inner), 0);
  uint64_t draw = 0;
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t begin = 0; begin < length; begin += m)
      for (int64_t i = 0; i < inner; ++i) {
        const int64_t size = std::min(m, length - begin);
        for (int64_t left = std::min(n, size), place = 0; place < size; ++place)
          if (random_below(static_cast<uint64_t>(size - place), key, draw++) < static_cast<uint64_t>(left)) {
            mask[static_cast<size_t>((o * length + begin + place) * inner + i)] = 1;
            --left;
          }
      }
  return mask;
}

std::vector<uint8_t> sparse(int64_t count, uint64_t one_in) {
  std::vector<uint8_t> mask(static_cast<size_t>(count), 0);
  for (size_t i = 0; i < mask.size(); ++i) mask[i] = random_below(one_in, key, i) == 0 ? 1 : 0;
  return mask;
}

// The mask comes back, but for zeros that stand among the stored elements of N:M.
LayoutPlaces checked(const Shape& shape, const std::vector<uint8_t>& mask, int value_bits = 32) {
  const LayoutPlaces placement = choose_layout(shape, packed(mask), value_bits);
  if (placement.layout.is_dense()) return placement;
  const LayoutPlaces read = read_layout(placement.layout, shape, placement.places);
  CHECK(read.bits.text() == placement.bits.text());
  CHECK(read.stored == placement.stored);
  CHECK(read.places.size() == placement.places.size());
  int64_t ones = 0;
  for (size_t i = 0; i < mask.size(); ++i) {
    const bool stored = (static_cast<uint8_t>(read.bits.data()[i / 8]) >> (i % 8) & 1) != 0;
    ones += stored ? 1 : 0;
    if (mask[i] != 0) REQUIRE(stored);
  }
  CHECK(ones == read.stored);
  return placement;
}

}  // namespace

TEST_CASE("hdf5_layout: the smallest is chosen") {
  CHECK(checked({16, 64}, std::vector<uint8_t>(1024, 1)).layout.name == "dense");
  CHECK(checked({16, 64}, sparse(1024, 2)).layout.name == "bitmask");
  CHECK(checked({100, 784}, sparse(78'400, 50)).layout.name == "csr");
  CHECK(checked({64, 576}, neighbours(64, 576, 1, 2, 4)).layout.name == "2:4");
  CHECK(checked({1000}, sparse(1000, 200)).layout.name == "csr");
  CHECK(checked({32, 32}, std::vector<uint8_t>(1024, 0)).layout.name == "csr");
}

TEST_CASE("hdf5_layout: N:M is found along every reduction, also where M does not divide it") {
  struct Case {
    Shape shape;
    int64_t outer, length, inner, n, m;
  };
  for (const Case& c :
       {Case{{16, 8, 3, 3}, 16, 72, 1, 2, 4}, Case{{16, 9, 3, 3}, 16, 81, 1, 1, 4}, Case{{62, 40}, 1, 62, 40, 4, 8},
        Case{{5, 30, 7}, 5, 30, 7, 1, 4}, Case{{3, 20, 33}, 60, 33, 1, 2, 32}, Case{{64, 6, 2, 2}, 1, 64, 24, 2, 5},
        Case{{9, 320}, 9, 320, 1, 16, 32}}) {
    CAPTURE(shape_text(c.shape));
    const LayoutPlaces placement = checked(c.shape, neighbours(c.outer, c.length, c.inner, c.n, c.m));
    CHECK(placement.layout.name == fmt::format("{}:{}", c.n, c.m));
    CHECK(placement.layout.length == c.length);
    CHECK(placement.layout.inner == c.inner);
  }
}

TEST_CASE("hdf5_layout: groups with fewer than N have zeros among the stored elements") {
  std::vector<uint8_t> mask = neighbours(32, 64, 1, 2, 4);
  for (size_t i = 0; i < 16; ++i) mask[i * 7] = 0;
  const LayoutPlaces placement = checked({32, 64}, mask);
  CHECK(placement.layout.name == "2:4");
  CHECK(placement.stored == 32 * 64 / 2);
}

TEST_CASE("hdf5_layout: the codes are the combinations in lexicographic order") {
  // Groups 0011, 0101, 1001, 0110, 1010, 1100 (lowest place last) are codes 0 to 5, 3 bits each.
  std::vector<uint8_t> mask;
  for (const uint32_t places : {3u, 5u, 9u, 6u, 10u, 12u})
    for (int place = 0; place < 4; ++place) mask.push_back(places >> place & 1);
  std::vector<uint8_t> rows;
  for (int row = 0; row < 4; ++row) rows.insert(rows.end(), mask.begin(), mask.end());
  const LayoutPlaces placement = checked({4, 24}, rows);
  REQUIRE(placement.layout.name == "2:4");
  uint32_t first = 0;
  for (size_t i = 0; i < 3; ++i)
    first |= static_cast<uint32_t>(static_cast<uint8_t>(placement.places.data()[i])) << (8 * i);
  CHECK((first & 0x3ffffu) == (0u | 1u << 3 | 2u << 6 | 3u << 9 | 4u << 12 | 5u << 15));
}

TEST_CASE("hdf5_layout: csr is the length of each row, then the columns") {
  std::vector<uint8_t> mask(3 * 300, 0);
  mask[7] = mask[299] = mask[600] = 1;
  const LayoutPlaces placement = checked({3, 300}, mask);
  CHECK(placement.layout.name == "csr");
  CHECK(placement.places.text() == std::string("\x02\0\0\0\x01\0\x07\0\x2b\x01\0\0", 12));
}

TEST_CASE("hdf5_layout: all-zero tensors of any size do not make a reader allocate without bound") {
  // A row of a million zeros as csr would take four bytes.
  CHECK(checked({1, 1 << 20}, std::vector<uint8_t>(1 << 20, 0)).layout.name != "csr");
  CHECK_THROWS_AS(read_layout({"csr"}, {1, int64_t{1} << 31}, Bytes::own(std::string(4, '\0'))), Error);
  CHECK_THROWS_AS(read_layout({"1:32", int64_t{1} << 50, 1}, {int64_t{1} << 50}, Bytes::own("xx")), Error);
}

TEST_CASE("hdf5_layout: what cannot be is refused") {
  const Bytes some = Bytes::own(std::string(64, '\x01'));
  for (const StorageLayout& layout :
       {StorageLayout{"spiral"}, StorageLayout{"2:"}, StorageLayout{":4"}, StorageLayout{"2:4x", 16, 1},
        StorageLayout{"4:2", 16, 1}, StorageLayout{"0:4", 16, 1}, StorageLayout{"2:33", 16, 1},
        StorageLayout{"2:4", 0, 1}, StorageLayout{"2:4", 16, 0}, StorageLayout{"2:4", 15, 1},
        StorageLayout{"2:4", -16, -1}, StorageLayout{"2:4", int64_t{1} << 62, 4}}) {
    CAPTURE(layout.name);
    CHECK_THROWS_AS(read_layout(layout, {16, 16}, some), Error);
  }
}

TEST_CASE("hdf5_layout: damaged places are refused or describe some tensor of that shape, never more") {
  const std::vector<std::pair<Shape, std::vector<uint8_t>>> tensors = {{{20, 40}, neighbours(20, 40, 1, 2, 4)},
                                                                       {{21, 9}, neighbours(21, 9, 1, 1, 4)},
                                                                       {{30, 300}, sparse(9000, 60)},
                                                                       {{40, 25}, sparse(1000, 2)}};
  uint64_t draw = 1000;
  for (const auto& [shape, mask] : tensors) {
    const LayoutPlaces placement = choose_layout(shape, packed(mask), 32);
    REQUIRE_FALSE(placement.layout.is_dense());
    for (int round = 0; round < 2000; ++round) {
      std::string bytes(placement.places.text());
      const auto flips = 1 + random_below(4, key, draw++);
      for (uint64_t flip = 0; flip < flips; ++flip) {
        const size_t at = random_below(bytes.size(), key, draw++);
        bytes[at] = static_cast<char>(static_cast<uint8_t>(bytes[at]) ^ (1u << random_below(8, key, draw++)));
      }
      if (round % 3 == 0) bytes.resize(random_below(bytes.size(), key, draw++));
      try {
        const LayoutPlaces read = read_layout(placement.layout, shape, Bytes::own(bytes));
        CHECK(read.stored <= element_count(shape));
        CHECK(kernels::count_bits({}, reinterpret_cast<const uint8_t*>(read.bits.data()), element_count(shape)) ==
              read.stored);
      } catch (const Error& error) {
        CHECK(error.code() == ExitCode::bad_input);
      }
    }
  }
}

}  // namespace pare
