#include <limits>
#include <vector>

#include <doctest/doctest.h>

#include "src/data/sample_writer.hpp"
#include "tests/data/data_files.hpp"

namespace pare {
namespace {

// The augmentations done one after the other on the stored image, pixel by pixel, then the preprocessing.
std::vector<float> reference(const test::CountingDataset& data, int64_t index, bool flip, int64_t dy, int64_t dx,
                             const std::vector<double>& mean) {
  const Shape& shape = data.sample_shape();
  const int64_t height = shape[1], width = shape[2];
  std::vector<float> result;
  for (int64_t c = 0; c < shape[0]; ++c)
    for (int64_t y = 0; y < height; ++y)
      for (int64_t x = 0; x < width; ++x) {
        const int64_t from_y = y - dy;
        int64_t from_x = x - dx;
        const bool inside = from_y >= 0 && from_y < height && from_x >= 0 && from_x < width;
        if (flip) from_x = width - 1 - from_x;
        const double stored = inside ? data.value(index, (c * height + from_y) * width + from_x) : 0.0;
        result.push_back(static_cast<float>((stored * (1.0 / 255.0) - mean[static_cast<size_t>(c)]) / 0.5));
      }
  return result;
}

std::vector<float> written(const SampleWriter& writer, int64_t epoch, int64_t index) {
  SampleWriter::Scratch scratch;
  std::vector<float> result(static_cast<size_t>(writer.sample_elements()), std::numeric_limits<float>::quiet_NaN());
  writer.write(epoch, index, scratch, result.data());
  return result;
}

TEST_CASE(
    "sample writer: each augmented image is exactly one of the possible ones, for stored uint8 and for other types") {
  const std::vector<double> mean{0.1, 0.2, 0.3};
  const Preprocess preprocess{1.0 / 255.0, mean, {0.5}};
  for (const DType type : {DType::uint8, DType::float32}) {
    const auto data = test::counting(40, {3, 5, 6}, 0, type);
    const SampleWriter writer(*data, 0, data->sample_shape(), preprocess, parse_augmentations("flip,shift:2"), 3);
    int flips = 0;
    for (int64_t index = 0; index < data->size(); ++index) {
      const std::vector<float> image = written(writer, 1, index);
      int matches = 0;
      for (const bool flip : {false, true})
        for (int64_t dy = -2; dy <= 2; ++dy)
          for (int64_t dx = -2; dx <= 2; ++dx)
            if (image == reference(*data, index, flip, dy, dx, mean)) {
              ++matches;
              flips += flip ? 1 : 0;
            }
      CHECK(matches == 1);
    }
    CHECK(flips > 5);
    CHECK(flips < 35);
  }
}

TEST_CASE("sample writer: uint8 in memory and the same values read as float give the same bits") {
  const auto bytes = test::counting(20, {2, 7, 9}, 0, DType::uint8);
  const auto reals = test::counting(20, {2, 7, 9}, 0, DType::float32);
  const Preprocess preprocess{1.0 / 255.0, {0.286}, {0.353}};
  for (const char* list : {"", "flip", "crop:3,flip"}) {
    const SampleWriter from_bytes(*bytes, 0, bytes->sample_shape(), preprocess, parse_augmentations(list), 3);
    const SampleWriter from_reals(*reals, 0, reals->sample_shape(), preprocess, parse_augmentations(list), 3);
    for (int64_t index = 0; index < 20; ++index) CHECK(written(from_bytes, 4, index) == written(from_reals, 4, index));
  }
}

TEST_CASE("sample writer: samples of any rank are written whole, with the values of their channel") {
  for (const Shape& shape : {Shape{6}, Shape{2, 3}, Shape{2, 1, 3}, Shape{2, 3, 1, 1}, Shape{1, 6}}) {
    const auto data = test::counting(3, shape, 0);
    const bool two = shape.size() > 1 && shape[0] == 2;
    const SampleWriter writer(*data, 0, data->sample_shape(),
                              {1.0, two ? std::vector<double>{10, 20} : std::vector<double>{10}, {}}, {}, 0);
    std::vector<float> expected;
    for (int64_t k = 0; k < 6; ++k) expected.push_back(data->value(2, k) - (two && k >= 3 ? 20.0f : 10.0f));
    CHECK(written(writer, 0, 2) == expected);
  }
}

}  // namespace
}  // namespace pare
