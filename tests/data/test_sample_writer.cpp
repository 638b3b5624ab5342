#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
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

TEST_CASE("sample writer: an erased rectangle holds noise of the stored range, everything else stays") {
  for (const DType type : {DType::uint8, DType::float32}) {
    const auto data = test::counting(30, {3, 9, 14}, 0, type);
    const Preprocess preprocess{1.0 / 255.0, {0.5}, {0.25}};
    const std::vector<Augmentation> list = parse_augmentations("flip,erase");
    const SampleWriter whole(*data, 0, data->sample_shape(), preprocess, parse_augmentations("flip"), 3);
    const SampleWriter writer(*data, 0, data->sample_shape(), preprocess, list, 3);
    int erased = 0;
    for (int64_t index = 0; index < data->size(); ++index) {
      const std::vector<float> before = written(whole, 2, index), after = written(writer, 2, index);
      const Rectangle r = draw_change(list, 9, 14, 3, 2, index).erased;
      erased += r.height > 0 ? 1 : 0;
      int changed = 0;
      for (int64_t c = 0; c < 3; ++c)
        for (int64_t y = 0; y < 9; ++y)
          for (int64_t x = 0; x < 14; ++x) {
            const auto at = static_cast<size_t>((c * 9 + y) * 14 + x);
            const bool inside = y >= r.top && y < r.top + r.height && x >= r.left && x < r.left + r.width;
            if (!inside) CHECK(after[at] == before[at]);
            if (inside && after[at] != before[at]) ++changed;
            CHECK(after[at] >= -2.0f);
            CHECK(after[at] <= 2.0f);
          }
      CHECK(changed >= 3 * r.height * r.width * 3 / 4);
    }
    CHECK(erased > 5);
    CHECK(erased < 25);
  }
}

TEST_CASE("sample writer: jitter scales the values, then their distance to the mean grey") {
  for (const DType type : {DType::uint8, DType::float32}) {
    const auto data = test::counting(12, {3, 6, 15}, 0, type);
    const std::vector<Augmentation> list = parse_augmentations("jitter");
    const SampleWriter writer(*data, 0, data->sample_shape(), {1.0, {}, {}}, list, 9);
    for (int64_t index = 0; index < data->size(); ++index) {
      const ImageChange change = draw_change(list, 6, 15, 9, 4, index);
      const double highest = type == DType::uint8 ? 255 : 1e30;
      const auto bright = [&](int64_t element) {
        return std::min(data->value(index, element) * change.brightness, highest);
      };
      double grey = 0;
      for (int64_t i = 0; i < 90; ++i)
        grey += (0.299 * bright(i) + 0.587 * bright(90 + i) + 0.114 * bright(180 + i)) / 90;
      const std::vector<float> image = written(writer, 4, index);
      double worst = 0;
      for (int64_t i = 0; i < 270; ++i) {
        double expected = grey + change.contrast * (bright(i) - grey);
        if (type == DType::uint8) expected = std::min(std::max(expected, 0.0), 255.0);
        worst = std::max(worst, std::abs(expected - image[static_cast<size_t>(i)]));
      }
      CHECK(worst < 1e-4);
    }
  }
}

TEST_CASE("sample writer: channels move from either end to either end, augmented or not") {
  const Shape planes{3, 4, 5}, pixels{4, 5, 3};
  const auto first = test::counting(8, planes, 0);
  const Preprocess preprocess{1.0, {1, 2, 3}, {}};
  const auto last = std::make_shared<test::Interleaved>(first);
  const auto moved = [](const std::vector<float>& image) {
    std::vector<float> result(60);
    for (size_t c = 0; c < 3; ++c)
      for (size_t i = 0; i < 20; ++i) result[i * 3 + c] = image[c * 20 + i];
    return result;
  };
  for (const char* list : {"", "crop:2,flip,erase,jitter"}) {
    const auto writer = [&](const Dataset& data, const Shape& shape, ChannelOrder order) {
      return SampleWriter(data, 0, shape, preprocess, parse_augmentations(list), 3, order);
    };
    const SampleWriter base = writer(*first, planes, {});
    for (int64_t index = 0; index < 8; ++index) {
      const std::vector<float> image = written(base, 1, index);
      CHECK(written(writer(*last, pixels, {true, false}), 1, index) == image);
      CHECK(written(writer(*first, planes, {false, true}), 1, index) == moved(image));
      CHECK(written(writer(*last, pixels, {true, true}), 1, index) == moved(image));
    }
  }
}

}  // namespace
}  // namespace pare
