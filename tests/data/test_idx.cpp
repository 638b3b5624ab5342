#include <bit>
#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "src/data/idx.hpp"
#include "tests/data/data_files.hpp"

namespace pare {
namespace {

using test::big_endian;
using test::failure_of;
using test::idx_bytes;

std::vector<float> values_of(const std::string& file) {
  const test::TemporaryFolder folder;
  const IdxArray array = read_idx(folder.write("a", file));
  std::vector<float> values(static_cast<size_t>(element_count(array.shape)));
  array.read(0, static_cast<int64_t>(values.size()), values.data());
  return values;
}

test::Failure failure_of_file(const std::string& file) {
  const test::TemporaryFolder folder;
  const std::string path = folder.write("broken", file);
  const test::Failure failure = failure_of([&] { read_idx(path); });
  CHECK(failure.mentions(path));
  return failure;
}

TEST_CASE("idx: every element type is read big endian") {
  CHECK(values_of(idx_bytes(0x08, {3}, "\x01\x80\xff")) == std::vector<float>{1, 128, 255});
  CHECK(values_of(idx_bytes(0x09, {3}, "\x01\x80\xff")) == std::vector<float>{1, -128, -1});
  CHECK(values_of(idx_bytes(0x0B, {2}, big_endian(258, 2) + big_endian(0xfffe, 2))) == std::vector<float>{258, -2});
  CHECK(values_of(idx_bytes(0x0C, {2}, big_endian(70000, 4) + big_endian(0xffffffff, 4))) ==
        std::vector<float>{70000, -1});
  const uint32_t single = std::bit_cast<uint32_t>(-1.5f);
  CHECK(values_of(idx_bytes(0x0D, {1}, big_endian(single, 4))) == std::vector<float>{-1.5f});
  const uint64_t wide = std::bit_cast<uint64_t>(0.1);
  CHECK(values_of(idx_bytes(0x0E, {1}, big_endian(wide, 8))) == std::vector<float>{0.1f});
}

TEST_CASE("idx: shape and a part of the elements") {
  const test::TemporaryFolder folder;
  const IdxArray array =
      read_idx(folder.write("a", idx_bytes(0x0B, {2, 3}, std::string("\0\1\0\2\0\3\0\4\0\5\0\6", 12))));
  CHECK(array.dtype == DType::int16);
  CHECK(array.shape == Shape{2, 3});
  std::vector<int64_t> part(2);
  array.read(3, 2, part.data());
  CHECK(part == std::vector<int64_t>{4, 5});
}

TEST_CASE("idx: gzip is told by content, and several members are one file") {
  const std::string file = idx_bytes(0x08, {2, 300}, test::counting_bytes(600));
  CHECK(values_of(test::gzip(file)) == values_of(file));
  CHECK(values_of(test::gzip(file.substr(0, 100)) + test::gzip(file.substr(100))) == values_of(file));
}

TEST_CASE("idx: a missing file is a usage error") {
  const test::TemporaryFolder folder;
  CHECK(failure_of([&] { read_idx(folder.path() + "/none"); }).code == ExitCode::usage);
}

TEST_CASE("idx: a wrong magic names what was found") {
  for (const std::string& file : {std::string("\1\0\10\1\0\0\0\0", 8), std::string("\0\0\12\1\0\0\0\0", 8),
                                  std::string("\0\0\10\0\0\0\0\0", 8), std::string("PNG!....", 8)}) {
    const test::Failure failure = failure_of_file(file);
    CHECK(failure.code == ExitCode::bad_input);
    CHECK(failure.mentions("not an IDX file"));
  }
  CHECK(failure_of_file(std::string("\0\0\12\1\0\0\0\0", 8)).mentions("00000a01"));
}

TEST_CASE("idx: a file cut at any byte is truncated") {
  const std::string file = idx_bytes(0x08, {2, 4}, "abcdefgh");
  for (size_t size = 0; size < file.size(); ++size) {
    const test::Failure failure = failure_of_file(file.substr(0, size));
    CHECK(failure.code == ExitCode::bad_input);
    CHECK(failure.mentions("truncated"));
  }
  CHECK(failure_of_file(file.substr(0, 15)).mentions("got at most 3 bytes from offset 12, expected 8"));
}

TEST_CASE("idx: a gzip file cut at any byte after its magic is truncated") {
  const std::string file = test::gzip(idx_bytes(0x08, {2, 40}, test::counting_bytes(80)));
  for (size_t size = 2; size < file.size(); ++size) {
    const test::Failure failure = failure_of_file(file.substr(0, size));
    CHECK(failure.code == ExitCode::bad_input);
    CHECK(failure.mentions("truncated"));
  }
}

TEST_CASE("idx: an array cut off inside a whole gzip file is truncated") {
  const test::Failure failure = failure_of_file(test::gzip(idx_bytes(0x08, {2, 40}, test::counting_bytes(79))));
  CHECK(failure.code == ExitCode::bad_input);
  CHECK(failure.mentions("got at most 79 bytes from offset 12, expected 80"));
}

TEST_CASE("idx: a changed byte of the compressed data is noticed") {
  const std::string whole = test::gzip(idx_bytes(0x08, {2, 40}, test::counting_bytes(80)));
  for (size_t position = 10; position < whole.size(); ++position) {
    std::string file = whole;
    file[position] = static_cast<char>(file[position] ^ 0x10);
    CHECK(failure_of_file(file).code == ExitCode::bad_input);
  }
}

TEST_CASE("idx: bytes after the array are refused, plain and compressed") {
  const std::string file = idx_bytes(0x08, {2}, "abc");
  for (const std::string& bytes : {file, test::gzip(file)}) {
    const test::Failure failure = failure_of_file(bytes);
    CHECK(failure.code == ExitCode::bad_input);
    CHECK(failure.mentions("bytes follow the array at offset 10"));
  }
  CHECK(failure_of_file(test::gzip(idx_bytes(0x08, {2}, "ab")) + "junk").code == ExitCode::bad_input);
}

TEST_CASE("idx: absurd dimensions are refused before memory is taken") {
  for (const std::vector<uint32_t>& sizes : {std::vector<uint32_t>{0xffffffff},
                                             {0xffffffff, 0xffffffff},
                                             {0x40000000, 0xffffffff},
                                             std::vector<uint32_t>(9, 0xffffffff)}) {
    for (const uint8_t type : {0x08, 0x0E}) {
      const std::string file = idx_bytes(type, sizes, "abc");
      CHECK(failure_of_file(file).code == ExitCode::bad_input);
      CHECK(failure_of_file(test::gzip(file)).code == ExitCode::bad_input);
    }
  }
}

}  // namespace
}  // namespace pare
