#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "src/data/augment.hpp"
#include "tests/data/data_files.hpp"

namespace pare {
namespace {

using test::failure_of;

// The axis as a picture: the letters of `input` where the map puts them, '.' where nothing enters.
std::string seen(const AxisMap& map, const std::string& input) {
  std::string output(input.size(), '.');
  for (int64_t p = map.begin; p < map.end; ++p)
    output[static_cast<size_t>(p)] = input.at(static_cast<size_t>(map.offset + map.step * p));
  return output;
}

TEST_CASE("augment: an axis is moved with nothing entering, and mirrored") {
  const AxisMap axis = AxisMap::identity(5);
  CHECK(seen(axis, "abcde") == "abcde");
  CHECK(seen(axis.shifted(2, 5), "abcde") == "..abc");
  CHECK(seen(axis.shifted(-1, 5), "abcde") == "bcde.");
  CHECK(seen(axis.mirrored(5), "abcde") == "edcba");
  CHECK(seen(axis.shifted(7, 5), "abcde") == ".....");
  CHECK(seen(axis.shifted(-7, 5), "abcde") == ".....");
}

TEST_CASE("augment: a chain of moves and mirrors is one map") {
  const AxisMap axis = AxisMap::identity(5);
  CHECK(seen(axis.mirrored(5).shifted(2, 5), "abcde") == "..edc");
  CHECK(seen(axis.shifted(2, 5).mirrored(5), "abcde") == "cba..");
  CHECK(seen(axis.shifted(2, 5).shifted(-3, 5), "abcde") == "bc...");
  CHECK(seen(axis.shifted(-2, 5).mirrored(5).shifted(1, 5).mirrored(5), "abcde") == "de...");
  CHECK(seen(axis.shifted(4, 5).shifted(-4, 5).mirrored(5), "abcde") == "....a");
}

TEST_CASE("augment: lists are parsed in order") {
  const std::vector<Augmentation> list = parse_augmentations("flip,shift:2,crop:14");
  REQUIRE(list.size() == 3);
  CHECK(list[0].kind->name == "flip");
  CHECK(list[1].kind->name == "shift");
  CHECK(list[1].amount == 2);
  CHECK(list[2].amount == 14);
  CHECK(parse_augmentations("").empty());
}

TEST_CASE("augment: bad lists are usage errors that say what is known") {
  for (const char* list : {"flap", "flip,", ",flip", "shift", "shift:", "shift:0", "shift:-1", "shift:2x",
                           "shift:9999999999999999999", "flip:1", "shift:2,shift:3", " flip"})
    CHECK_MESSAGE(failure_of([&] { parse_augmentations(list); }).code == ExitCode::usage, list);
  const test::Failure unknown = failure_of([] { parse_augmentations("shfit:2"); });
  CHECK(unknown.mentions("flip, shift:N, crop:N"));
  CHECK(unknown.mentions("did you mean 'shift'"));
}

TEST_CASE("augment: samples that are no images, or too small, are usage errors") {
  const std::vector<Augmentation> list = parse_augmentations("flip,shift:3");
  CHECK_NOTHROW(check_augmentations(list, {1, 4, 4}));
  CHECK(failure_of([&] { check_augmentations(list, {16}); }).code == ExitCode::usage);
  CHECK(failure_of([&] { check_augmentations(list, {1, 9, 3}); }).code == ExitCode::usage);
  CHECK_NOTHROW(check_augmentations({}, {16}));
}

TEST_CASE("augment: a placement depends on seed, epoch and sample, and on nothing else") {
  const std::vector<Augmentation> list = parse_augmentations("flip,shift:9");
  const auto drawn = [&](uint64_t seed, int64_t epoch) {
    std::vector<int64_t> all;
    for (int64_t index = 0; index < 50; ++index) {
      const Placement p = draw_placement(list, 28, 28, seed, epoch, index);
      all.insert(all.end(), {p.rows.offset, p.columns.offset, p.columns.step});
    }
    return all;
  };
  CHECK(drawn(1, 2) == drawn(1, 2));
  CHECK(drawn(1, 2) != drawn(1, 3));
  CHECK(drawn(1, 2) != drawn(2, 2));
}

TEST_CASE("augment: flips are half of the draws and shifts are uniform on both axes, independently") {
  const std::vector<Augmentation> list = parse_augmentations("shift:1,flip");
  const int64_t draws = 18000;
  std::map<std::vector<int64_t>, int64_t> seen_outcomes;
  for (int64_t index = 0; index < draws; ++index) {
    const Placement p = draw_placement(list, 8, 8, 5, 0, index);
    const int64_t mirrored = p.columns.step == -1 ? 1 : 0;
    const int64_t dx = mirrored != 0 ? p.columns.offset - 7 : p.columns.offset;
    ++seen_outcomes[{mirrored, dx, p.rows.offset}];
    CHECK(p.rows.step == 1);
  }
  REQUIRE(seen_outcomes.size() == 18);
  double chi_square = 0;
  for (const auto& [outcome, count] : seen_outcomes) {
    const double difference = static_cast<double>(count) - 1000.0;
    chi_square += difference * difference / 1000.0;
  }
  CHECK(chi_square < 40.8);  // 17 degrees of freedom, p = 0.001
}

}  // namespace
}  // namespace pare
