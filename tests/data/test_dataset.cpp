#include <algorithm>
#include <set>
#include <vector>

#include <doctest/doctest.h>

#include "src/data/dataset.hpp"
#include "tests/data/data_files.hpp"

namespace pare {
namespace {

// The first value of each sample: with one-element samples of CountingDataset it tells the samples apart (7 i mod 256).
std::vector<float> first_values(const Dataset& dataset) {
  std::vector<float> values(static_cast<size_t>(dataset.size()));
  for (int64_t i = 0; i < dataset.size(); ++i) dataset.read(i, &values[static_cast<size_t>(i)]);
  return values;
}

TEST_CASE("dataset: a subset shows the chosen samples in the given order and keeps the classes") {
  const auto whole = test::counting(10, {1, 1, 1}, 5);
  const DatasetPtr view = subset(whole, {7, 2, 2});
  CHECK(first_values(*view) == std::vector<float>{49, 14, 14});
  CHECK(view->label(0) == 2);
  CHECK(view->class_count() == 5);
  std::vector<std::byte> scratch;
  CHECK(*view->stored(0, 1, scratch) == std::byte{14});
  CHECK(view->sample_shape() == Shape{1, 1, 1});
  CHECK(subset(view, {1})->sample_name(0) == "counting: sample 2");
}

TEST_CASE("dataset: a subset of samples that do not exist is refused") {
  const auto whole = test::counting(3, {1}, 1);
  CHECK(test::failure_of([&] { subset(whole, {0, 3}); }).code == ExitCode::failure);
  CHECK(test::failure_of([&] { subset(whole, {-1}); }).code == ExitCode::failure);
}

TEST_CASE("dataset: a holdout splits every sample to exactly one side") {
  const auto whole = test::counting(30, {1}, 3);
  const auto [train, held_out] = split_holdout(whole, 8, 1);
  CHECK(train->size() == 22);
  CHECK(held_out->size() == 8);
  std::multiset<float> both;
  for (const DatasetPtr& part : {train, held_out})
    for (const float value : first_values(*part)) both.insert(value);
  const std::vector<float> all = first_values(*whole);
  CHECK(both == std::multiset<float>(all.begin(), all.end()));
}

TEST_CASE("dataset: the holdout is chosen by the seed alone") {
  const auto whole = test::counting(30, {1}, 3);
  const std::vector<float> chosen = first_values(*split_holdout(whole, 8, 1).held_out);
  CHECK(chosen == first_values(*split_holdout(whole, 8, 1).held_out));
  CHECK(chosen != first_values(*split_holdout(whole, 8, 2).held_out));
}

TEST_CASE("dataset: a holdout of nothing or of everything is a usage error that names the range") {
  const auto whole = test::counting(30, {1}, 3);
  for (const int64_t count : {-1, 0, 30, 31}) {
    const test::Failure failure = test::failure_of([&] { split_holdout(whole, count, 1); });
    CHECK(failure.code == ExitCode::usage);
    CHECK(failure.mentions("expected 1 to 29"));
  }
}

TEST_CASE("dataset: a smaller limit is the beginning of a larger one") {
  const auto whole = test::counting(30, {1}, 3);
  std::vector<float> ten = first_values(*limit(whole, 10, 4));
  const std::vector<float> four = first_values(*limit(whole, 4, 4));
  CHECK(std::set<float>(ten.begin(), ten.end()).size() == 10);
  CHECK(ten != first_values(*limit(whole, 10, 5)));
  ten.resize(4);
  CHECK(four == ten);
}

TEST_CASE("dataset: a limit over the size changes nothing and a limit of zero is refused") {
  const DatasetPtr whole = test::counting(5, {1}, 3);
  CHECK(limit(whole, 5, 1) == whole);
  CHECK(limit(whole, 500, 1) == whole);
  CHECK(test::failure_of([&] { limit(whole, 0, 1); }).code == ExitCode::usage);
}

TEST_CASE("dataset: check_labels names the sample of the file and the label, also through a view") {
  const auto whole = test::counting(20, {1}, 5);
  CHECK_NOTHROW(check_labels(*whole, 5));
  const test::Failure failure = test::failure_of([&] { check_labels(*subset(whole, {10, 14}), 4); });
  CHECK(failure.code == ExitCode::bad_input);
  CHECK(failure.mentions("sample 14"));
  CHECK(failure.mentions("got 4, expected 0 to 3"));
}

TEST_CASE("dataset: check_labels refuses a set without labels") {
  CHECK(test::failure_of([] { check_labels(*test::counting(2, {1}, 0), 4); }).code == ExitCode::bad_input);
}

}  // namespace
}  // namespace pare
