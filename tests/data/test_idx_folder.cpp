#include <filesystem>
#include <vector>

#include <doctest/doctest.h>

#include "src/data/idx_folder.hpp"
#include "tests/data/data_files.hpp"

namespace pare {
namespace {

using test::failure_of;
using test::idx_bytes;

const std::string images = idx_bytes(0x08, {3, 2, 2}, test::counting_bytes(12));
const std::string labels = idx_bytes(0x08, {3}, std::string("\4\0\1", 3));

TEST_CASE("idx folder: both splits, plain and compressed") {
  const test::TemporaryFolder folder;
  folder.write("train-images-idx3-ubyte", images);
  folder.write("train-labels-idx1-ubyte.gz", test::gzip(labels));
  folder.write("t10k-images-idx3-ubyte.gz", test::gzip(idx_bytes(0x08, {1, 2, 2}, "abcd")));
  folder.write("t10k-labels-idx1-ubyte", idx_bytes(0x08, {1}, "\2"));
  REQUIRE(is_idx_folder(folder.path()));
  const DatasetPtr train = open_idx_folder(folder.path(), {"auto", "train", false, {}});
  CHECK(train->size() == 3);
  CHECK(train->sample_shape() == Shape{1, 2, 2});
  CHECK(train->element_type() == DType::uint8);
  CHECK(train->class_count() == 5);
  CHECK(train->label(0) == 4);
  CHECK(train->label(2) == 1);
  std::vector<float> sample(4);
  train->read(1, sample.data());
  CHECK(sample == std::vector<float>{4, 5, 6, 7});
  std::vector<std::byte> scratch;
  CHECK(train->stored(0, 2, scratch)[3] == std::byte{11});
  CHECK(train->sample_name(1).ends_with("train-images-idx3-ubyte: sample 1"));
  const DatasetPtr test_set = open_idx_folder(folder.path(), {"auto", "test", false, {}});
  CHECK(test_set->stored(0, 0, scratch)[0] == std::byte{'a'});
  CHECK(test_set->label(0) == 2);
}

TEST_CASE("idx folder: sample shapes follow the number of dimensions") {
  const std::vector<std::pair<std::vector<uint32_t>, Shape>> cases{
      {{2, 6}, {6}}, {{2, 3, 2}, {1, 3, 2}}, {{2, 3, 2, 1}, {3, 2, 1}}};
  for (const auto& [sizes, shape] : cases) {
    const test::TemporaryFolder folder;
    folder.write("train-images-idx4-ubyte", idx_bytes(0x08, sizes, test::counting_bytes(12)));
    CHECK(open_idx_folder(folder.path(), {"auto", "train", false, {}})->sample_shape() == shape);
  }
}

TEST_CASE("idx folder: other element types are read, not shown as uint8") {
  const test::TemporaryFolder folder;
  folder.write("train-images-idx3-float", idx_bytes(0x0B, {1, 1, 2}, std::string("\1\0\xff\xff", 4)));
  const DatasetPtr data = open_idx_folder(folder.path(), {"auto", "train", false, {}});
  CHECK(data->element_type() == DType::int16);
  std::vector<float> sample(2);
  data->read(0, sample.data());
  CHECK(sample == std::vector<float>{256, -1});
}

TEST_CASE("idx folder: of a plain file and its compressed copy the plain one is taken") {
  const test::TemporaryFolder folder;
  folder.write("train-images.idx3-ubyte", images);
  folder.write("train-images.idx3-ubyte.gz", "not gzip");
  CHECK(open_idx_folder(folder.path(), {"auto", "train", false, {}})->size() == 3);
  folder.write("train-images-idx3-ubyte", images);
  const test::Failure failure = failure_of([&] { open_idx_folder(folder.path(), {"auto", "train", false, {}}); });
  CHECK(failure.code == ExitCode::bad_input);
  CHECK(failure.mentions("two files"));
}

TEST_CASE("idx folder: without any label file it is unlabelled") {
  const test::TemporaryFolder folder;
  folder.write("train-images-idx3-ubyte", images);
  const DatasetPtr data = open_idx_folder(folder.path(), {"auto", "train", false, {}});
  CHECK_FALSE(data->labelled());
  CHECK(data->class_count() == 0);
}

TEST_CASE("idx folder: a label file missing beside another one is named") {
  const test::TemporaryFolder folder;
  folder.write("train-images-idx3-ubyte", images);
  folder.write("t10k-labels-idx1-ubyte", labels);
  const test::Failure failure = failure_of([&] { open_idx_folder(folder.path(), {"auto", "train", false, {}}); });
  CHECK(failure.code == ExitCode::bad_input);
  CHECK(failure.mentions("train-labels-idx1-ubyte"));
}

TEST_CASE("idx folder: unknown and absent splits are usage errors") {
  const test::TemporaryFolder folder;
  folder.write("train-images-idx3-ubyte", images);
  const test::Failure absent = failure_of([&] { open_idx_folder(folder.path(), {"auto", "test", false, {}}); });
  CHECK(absent.code == ExitCode::usage);
  CHECK(absent.mentions("t10k-images-idx3-ubyte"));
  const test::Failure unknown = failure_of([&] { open_idx_folder(folder.path(), {"auto", "trian", false, {}}); });
  CHECK(unknown.code == ExitCode::usage);
  CHECK(unknown.mentions("did you mean 'train'"));
}

TEST_CASE("idx folder: labels that do not fit the images") {
  const std::vector<std::pair<std::string, std::string>> cases{
      {idx_bytes(0x08, {2}, "\1\2"), "got 2 labels, expected 3"},
      {idx_bytes(0x08, {3, 1}, "\1\2\3"), "no class labels"},
      {idx_bytes(0x0D, {3}, std::string(12, '\0')), "no class labels"}};
  for (const auto& [bytes, text] : cases) {
    const test::TemporaryFolder folder;
    folder.write("train-images-idx3-ubyte", images);
    folder.write("train-labels-idx1-ubyte", bytes);
    const test::Failure failure = failure_of([&] { open_idx_folder(folder.path(), {"auto", "train", false, {}}); });
    CHECK(failure.code == ExitCode::bad_input);
    CHECK(failure.mentions(text));
  }
}

TEST_CASE("idx folder: sets without samples or without pixels are refused") {
  for (const std::vector<uint32_t>& sizes : {std::vector<uint32_t>{0, 2, 2}, {3, 0, 2}, {0}}) {
    const test::TemporaryFolder folder;
    folder.write("train-images-idx3-ubyte", idx_bytes(0x08, sizes, ""));
    CHECK(failure_of([&] {
            open_idx_folder(folder.path(), {"auto", "train", false, {}});
          }).code == ExitCode::bad_input);
  }
}

// Facts of the Debian package dataset-fashion-mnist: 6,000 training and 1,000 test images a class.
TEST_CASE("idx folder: Fashion-MNIST" * doctest::skip(!std::filesystem::exists("/usr/share/datasets/fashion-mnist"))) {
  const std::vector<std::pair<std::string, int64_t>> splits{{"train", 6000}, {"test", 1000}};
  for (const auto& [split, per_class] : splits) {
    const DatasetPtr data = open_idx_folder("/usr/share/datasets/fashion-mnist", {"auto", split, false, {}});
    CHECK(data->sample_shape() == Shape{1, 28, 28});
    REQUIRE(data->class_count() == 10);
    std::vector<int64_t> counts(10);
    for (int64_t i = 0; i < data->size(); ++i) ++counts[static_cast<size_t>(data->label(i))];
    CHECK(counts == std::vector<int64_t>(10, per_class));
  }
}

}  // namespace
}  // namespace pare
