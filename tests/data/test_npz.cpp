#include <vector>

#include <doctest/doctest.h>

#include "src/core/random.hpp"
#include "src/data/npz.hpp"
#include "tests/data/data_files.hpp"

namespace pare {
namespace {

using test::failure_of;

std::vector<NamedTensor> some_arrays() {
  return {{"x", Tensor::of(DType::float32, {3, 2}, std::vector<float>{1, 2, 3, 4, 5, 6})},
          {"rate", Tensor::of(DType::int64, {}, std::vector<int64_t>{16000})},
          {"labels", Tensor::of(DType::uint8, {3}, std::vector<uint8_t>{2, 0, 1})}};
}

TEST_CASE("npz: what is written is read again") {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/a.npz";
  save_npz(some_arrays(), path);
  REQUIRE(is_npz(path));
  const std::vector<NamedTensor> read = load_npz(path);
  REQUIRE(read.size() == 3);
  for (size_t i = 0; i < read.size(); ++i) {
    const NamedTensor expected = some_arrays()[i];
    CHECK(read[i].name == expected.name);
    CHECK(read[i].tensor.dtype == expected.tensor.dtype);
    CHECK(read[i].tensor.shape == expected.tensor.shape);
    CHECK(read[i].tensor.data.text() == expected.tensor.data.text());
  }
}

TEST_CASE("npz: arrays with the number of samples are theirs, others are shared, labels are apart") {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/a.npz";
  save_npz(some_arrays(), path);
  const DatasetPtr data = open_npz(path, {});
  CHECK(data->size() == 3);
  REQUIRE(data->fields().size() == 2);
  CHECK(!data->fields()[0].shared);
  CHECK(data->fields()[1].shared);
  CHECK(data->fields()[1].shape.empty());
  REQUIRE(data->labelled());
  CHECK(data->label(0) == 2);
  CHECK(data->class_count() == 3);
  const test::Failure failure = failure_of([&] { open_npz(path, {"npz", "", false, "label"}); });
  CHECK(failure.code == ExitCode::usage);
  CHECK(failure.mentions("did you mean 'labels'"));
}

TEST_CASE("npz: no change of a byte does more than be refused") {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/a.npz";
  save_npz(some_arrays(), path);
  const std::string good = read_file(path);
  const RandomKey key{6, random_stream("npz fuzz")};
  int refused = 0;
  for (uint64_t round = 0; round < 3000; ++round) {
    std::string text = good;
    text[random_u64(key, 2 * round) % text.size()] = static_cast<char>(random_u64(key, 2 * round + 1));
    if (round % 5 == 0) text.resize(random_u64(key, 1000000 + round) % text.size());
    const test::Failure failure = failure_of([&] { load_npz(folder.write("b.npz", text)); });
    CHECK((failure.code == ExitCode::ok || failure.code == ExitCode::bad_input));
    refused += failure.code == ExitCode::bad_input ? 1 : 0;
  }
  CHECK(refused > 1500);
}

}  // namespace
}  // namespace pare
