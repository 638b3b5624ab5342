#include <vector>

#include <doctest/doctest.h>

#include "src/core/random.hpp"
#include "src/data/npy.hpp"
#include "tests/data/data_files.hpp"

namespace pare {
namespace {

using test::failure_of;

std::string npy(const std::string& header, const std::string& data, int version = 1) {
  std::string text = "\x93NUMPY";
  text += static_cast<char>(version);
  text += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) text += static_cast<char>(header.size() >> (8 * i));
  return text + header + data;
}

Tensor read(const std::string& text) { return read_npy(Bytes::own(text), "a.npy"); }

const std::string six_shorts("\0\0\1\0\2\0\3\0\4\0\5\0", 12);

TEST_CASE("npy: C and Fortran order, both byte orders, versions 1 to 3, keys in any order") {
  for (int version = 1; version <= 3; ++version) {
    const Tensor plain =
        read(npy("{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }   \n", six_shorts, version));
    CHECK(plain.dtype == DType::int16);
    CHECK(plain.shape == Shape{2, 3});
    CHECK(to_int64(plain) == std::vector<int64_t>{0, 1, 2, 3, 4, 5});
  }
  const Tensor fortran = read(npy("{\"shape\":(2,3),'fortran_order':True,'descr':'<i2'}", six_shorts));
  CHECK(to_int64(fortran) == std::vector<int64_t>{0, 2, 4, 1, 3, 5});
  const Tensor big = read(npy("{'descr': '>i2', 'fortran_order': False, 'shape': (6,), }", six_shorts));
  CHECK(to_int64(big) == std::vector<int64_t>{0, 256, 512, 768, 1024, 1280});
  const Tensor scalar = read(npy("{'descr': '|u1', 'fortran_order': False, 'shape': (), }", "\7"));
  CHECK(scalar.shape.empty());
  CHECK(to_int64(scalar) == std::vector<int64_t>{7});
  CHECK(read(npy("{'descr': '<f4', 'fortran_order': True, 'shape': (0, 3), }", "")).elements() == 0);
}

TEST_CASE("npy: Fortran order of three dimensions") {
  std::string data;
  for (int i = 0; i < 24; ++i) data += static_cast<char>(i);
  const std::vector<int64_t> got =
      to_int64(read(npy("{'descr': '|i1', 'fortran_order': True, 'shape': (2, 3, 4), }", data)));
  std::vector<int64_t> expected;
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 3; ++j)
      for (int k = 0; k < 4; ++k) expected.push_back(i + 2 * j + 6 * k);
  CHECK(got == expected);
}

TEST_CASE("npy: what is malformed is refused with its place") {
  const std::string good = npy("{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }", six_shorts);
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "bad magic"},
      {good.substr(0, 9), "bad magic"},
      {good.substr(0, 30), "cut off"},
      {good.substr(0, good.size() - 1), "got 11 bytes, expected 12"},
      {good + "x", "got 13 bytes, expected 12"},
      {npy("{'descr': '<i2', 'shape': (2, 3), }", six_shorts), "a key is missing"},
      {npy("{'descr': '<i2', 'fortran_order': 0, 'shape': (2, 3), }", six_shorts), "True or False"},
      {npy("{'descr': '<i2', 'fortran_order': False, 'shape': (-2, 3), }", six_shorts), "expected a size"},
      {npy("{'descr': '<c8', 'fortran_order': False, 'shape': (2, 3), }", six_shorts), "'c8'"},
      {npy("{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }", six_shorts), "'O'"},
      {npy("{'descr': [('a', '<i2')], 'fortran_order': False, 'shape': (6,), }", six_shorts), "structured"},
      {npy("{'descr': '<i2', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", six_shorts), "a.npy"},
      {npy("{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }", six_shorts, 4), "version 4"}};
  for (const auto& [text, reason] : cases) {
    const test::Failure failure = failure_of([&, &bytes = text] { read(bytes); });
    CAPTURE(failure.message);
    CHECK(failure.code == ExitCode::bad_input);
    CHECK(failure.mentions(reason));
  }
}

TEST_CASE("npy: no change of a byte does more than be refused") {
  const std::string good = npy("{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }", six_shorts);
  const RandomKey key{5, random_stream("npy fuzz")};
  for (uint64_t round = 0; round < 20000; ++round) {
    std::string text = good;
    for (uint64_t change = 0; change <= round % 3; ++change) {
      const uint64_t place = random_u64(key, 8 * round + 2 * change),
                     value = random_u64(key, 8 * round + 2 * change + 1);
      text[place % text.size()] = static_cast<char>(value);
    }
    const test::Failure failure = failure_of([&] { read(text); });
    CHECK((failure.code == ExitCode::ok || failure.code == ExitCode::bad_input));
  }
}

TEST_CASE("npy: a file is one array of samples") {
  const test::TemporaryFolder folder;
  const std::string path =
      folder.write("x.npy", npy("{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }", six_shorts));
  REQUIRE(is_npy(path));
  const DatasetPtr data = open_npy(path, {});
  CHECK(data->size() == 2);
  CHECK(data->fields().at(0).name == "x");
  CHECK(data->sample_shape() == Shape{3});
  CHECK(!data->labelled());
}

}  // namespace
}  // namespace pare
