#include <algorithm>
#include <cmath>
#include <map>

#include <doctest/doctest.h>

#include "formats/rans.hpp"
#include "src/core/error.hpp"
#include "src/core/random.hpp"

namespace pare {
namespace {

using Codes = std::vector<uint32_t>;

// Codes of `bits` bits: zero with the given chance in 1000, the others' low values more often.
Codes skewed(size_t count, int bits, uint64_t zeros_in_1000, uint32_t seed) {
  Codes codes(count);
  for (size_t i = 0; i < count; ++i) {
    if (random_below(1000, {seed, 1}, i) < zeros_in_1000) continue;
    const uint64_t limit = random_below(uint64_t{1} << bits, {seed, 2}, i) + 1;
    codes[i] = static_cast<uint32_t>(random_below(limit, {seed, 3}, i));
  }
  return codes;
}

// Bits of the order-0 entropy: of the mask of zeros, and of the codes that are not.
double entropy_bits(const Codes& codes) {
  std::map<uint32_t, double> counts;
  for (const uint32_t code : codes) counts[code] += 1;
  const double all = static_cast<double>(codes.size());
  double bits = 0;
  for (const auto& [code, count] : counts) bits -= count * std::log2(count / all);
  return bits;
}

std::string decode_error(const Bytes& stream, int64_t count, int bits) {
  try {
    rans_decode(stream, count, bits);
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::bad_input);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("rans: codes of every width, count and share of zeros come back") {
  for (const int bits : {1, 2, 3, 4, 7, 8, 9, 13, 31, 32})
    for (const size_t count : {0, 1, 2, 3, 64, 1023})
      for (const uint64_t zeros : {0u, 300u, 950u, 1000u}) {
        CAPTURE(bits);
        CAPTURE(count);
        const Codes codes = skewed(count, bits, zeros, 7);
        CHECK((rans_decode(rans_encode(codes, bits), static_cast<int64_t>(count), bits) == codes));
      }
}

TEST_CASE("rans: more codes than a chunk holds come back") {
  for (const size_t count : {65'536, 65'537, 200'000}) {
    const Codes codes = skewed(count, 4, 900, 3);
    CHECK((rans_decode(rans_encode(codes, 4), static_cast<int64_t>(count), 4) == codes));
  }
}

TEST_CASE("rans: the stream takes little more than the entropy of its codes") {
  for (const uint64_t zeros : {0u, 500u, 800u, 950u, 990u}) {
    CAPTURE(zeros);
    const Codes codes = skewed(40'000, 4, zeros, 11);
    const double ideal = entropy_bits(codes) / 8;
    const double actual = static_cast<double>(rans_encode(codes, 4).size());
    CHECK(actual <= 1.01 * ideal + 24);
    CHECK(actual >= 0.98 * ideal);  // independent codes cannot take less
  }
}

TEST_CASE("rans: equal codes give equal bytes, and the stream is the documented one") {
  CHECK((rans_encode(skewed(999, 4, 500, 1), 4).text() == rans_encode(skewed(999, 4, 500, 1), 4).text()));
  // No code but the header's bit, a 0 at even chance: state 2^16 -> (65536 / 2048) * 4096 + 0 + 2048 = 133120.
  CHECK((rans_encode({}, 4).text() == std::string("\x02\x08\x00", 3)));
}

TEST_CASE("rans: damaged streams are refused or give other codes, never harm") {
  const Codes codes = skewed(3000, 4, 700, 5);
  const std::string stream(rans_encode(codes, 4).text());
  const auto count = static_cast<int64_t>(codes.size());
  size_t refused = 0, tried = 0;
  for (size_t at = 0; at < stream.size(); ++at)
    for (const int flip : {1, 16, 255}) {
      std::string damaged = stream;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      refused += decode_error(Bytes::own(damaged), count, 4).empty() ? 0 : 1;
      ++tried;
    }
  CHECK(refused > tried * 9 / 10);  // the state must end where the encoder began
  for (size_t length = 0; length < stream.size(); ++length)
    CHECK((decode_error(Bytes::own(stream.substr(0, length)), count, 4) != ""));
  CHECK(decode_error(Bytes::own(stream + "x"), count, 4).starts_with("the entropy-coded stream is too long"));
  CHECK((decode_error(Bytes::own(stream), count + 1, 4) != ""));
  CHECK((decode_error(Bytes::own(stream), count - 1, 4) != ""));
}

TEST_CASE("rans: a few bytes do not stand for any number of elements") {
  CHECK(decode_error(Bytes::own("abcdefgh"), int64_t{1} << 50, 8).starts_with("the entropy-coded stream is too short"));
}

TEST_CASE("rans: random bytes are refused or decoded, never harm") {
  for (uint32_t seed = 0; seed < 3000; ++seed) {
    std::string bytes(random_below(40, {seed, 4}, 0), '\0');
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(random_below(256, {seed, 5}, i));
    const int bits = 1 + static_cast<int>(random_below(32, {seed, 6}, 0));
    decode_error(Bytes::own(bytes), static_cast<int64_t>(random_below(2000, {seed, 7}, 0)), bits);
  }
}

}  // namespace pare
