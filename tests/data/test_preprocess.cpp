#include <limits>

#include <doctest/doctest.h>

#include "src/data/preprocess.hpp"
#include "tests/data/data_files.hpp"

namespace pare {
namespace {

using test::failure_of;

TEST_CASE("preprocess: by default uint8 becomes value / 255 and other types stay as they are") {
  const Normalizer bytes({}, {1, 2, 2}, DType::uint8);
  for (int value = 0; value < 256; ++value)
    CHECK(bytes(0, static_cast<float>(value)) == static_cast<float>(value) / 255.0f);
  CHECK(Normalizer({}, {1, 2, 2}, DType::float32)(0, 3.25f) == 3.25f);
  CHECK(Normalizer({}, {1, 2, 2}, DType::int8)(0, -7.0f) == -7.0f);
}

TEST_CASE("preprocess: scale comes before mean and std, which are one value or one a channel") {
  Preprocess preprocess{0.5, {1, 2, 3}, {2, 4, 8}};
  const Normalizer each(preprocess, {3, 1, 1}, DType::float32);
  CHECK(each.channels() == 3);
  CHECK(each(0, 10) == (5.0f - 1) / 2);
  CHECK(each(1, 10) == (5.0f - 2) / 4);
  CHECK(each(2, 10) == (5.0f - 3) / 8);
  preprocess.mean = {1};
  const Normalizer shared(preprocess, {3, 1, 1}, DType::float32);
  CHECK(shared(2, 10) == (5.0f - 1) / 8);
}

TEST_CASE("preprocess: the uint8 table is the formula") {
  const Normalizer normalizer({{}, {0.2, 0.3}, {0.4, 0.7}}, {2, 4, 4}, DType::uint8);
  for (int64_t channel = 0; channel < 2; ++channel)
    for (size_t value = 0; value < 256; ++value)
      CHECK(normalizer.table(channel)[value] == normalizer(channel, static_cast<float>(value)));
}

TEST_CASE("preprocess: a feature vector is one channel") {
  CHECK(Normalizer({{}, {1}, {}}, {5}, DType::float32).channels() == 1);
  CHECK(failure_of([] { Normalizer({{}, {1, 2, 3, 4, 5}, {}}, {5}, DType::float32); }).code == ExitCode::usage);
}

TEST_CASE("preprocess: values that do not fit are usage errors that name the option") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto fails = [](const Preprocess& preprocess, const std::string& text) {
    const test::Failure failure = failure_of([&] { Normalizer(preprocess, {3, 2, 2}, DType::uint8); });
    CHECK(failure.code == ExitCode::usage);
    CHECK(failure.mentions(text));
  };
  fails({{}, {1, 2}, {}}, "--mean: does not fit samples of 3x2x2 (got 2 values, expected 1 or 3)");
  fails({{}, {}, {1, 2, 3, 4}}, "--std");
  fails({{}, {nan}, {}}, "--mean");
  fails({{}, {}, {1, 0, 1}}, "--std");
  fails({0.0, {}, {}}, "--scale");
  fails({nan, {}, {}}, "--scale");
}

}  // namespace
}  // namespace pare
