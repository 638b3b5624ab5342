#include <algorithm>
#include <cmath>
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
                           "shift:9999999999999999999", "flip:1", "shift:2,shift:3", "erase:0.5", "jitter:", " flip",
                           "mixup", "mixup:0", "mixup:-0.2", "mixup:nan", "mixup:0.2x"})
    CHECK_MESSAGE(failure_of([&] { parse_augmentations(list); }).code == ExitCode::usage, list);
  const test::Failure unknown = failure_of([] { parse_augmentations("shfit:2"); });
  CHECK(unknown.mentions("flip, shift:N, crop:N, erase, jitter, mixup:A"));
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
      const Placement p = draw_change(list, 28, 28, seed, epoch, index).placement;
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
    const Placement p = draw_change(list, 8, 8, 5, 0, index).placement;
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

TEST_CASE("augment: every second image loses a rectangle of the area and shape of random erasing") {
  const std::vector<Augmentation> list = parse_augmentations("erase");
  constexpr int64_t height = 40, width = 60, draws = 4000;
  int64_t erased = 0;
  double smallest = 1, largest = 0, narrowest = 9, widest = 0;
  for (int64_t index = 0; index < draws; ++index) {
    const Rectangle r = draw_change(list, height, width, 5, 1, index).erased;
    if (r.height == 0) continue;
    ++erased;
    REQUIRE(r.top >= 0);
    REQUIRE(r.left >= 0);
    REQUIRE(r.top + r.height <= height);
    REQUIRE(r.left + r.width <= width);
    const double area = static_cast<double>(r.height * r.width) / (height * width);
    const double ratio = static_cast<double>(r.height) / static_cast<double>(r.width);
    smallest = std::min(smallest, area);
    largest = std::max(largest, area);
    narrowest = std::min(narrowest, ratio);
    widest = std::max(widest, ratio);
  }
  CHECK(std::abs(static_cast<double>(erased) - draws / 2.0) < 3.3 * std::sqrt(draws / 4.0));
  // Sides are rounded to pixels: a little beyond the bounds of the paper.
  CHECK(smallest > 0.015);
  CHECK(smallest < 0.03);
  CHECK(largest < 0.41);
  CHECK(largest > 0.3);
  CHECK(narrowest > 0.25);
  CHECK(narrowest < 0.36);
  CHECK(widest < 4.0);
  CHECK(widest > 2.8);
}

TEST_CASE("augment: the noise of an erased rectangle is uniform and belongs to its place") {
  std::vector<uint8_t> whole(25600), part(100);
  erasing_noise(7, 0, whole);
  erasing_noise(7, 1003, part);
  CHECK(std::equal(part.begin(), part.end(), whole.begin() + 1003));
  erasing_noise(8, 1003, part);
  CHECK_FALSE(std::equal(part.begin(), part.end(), whole.begin() + 1003));
  std::vector<int64_t> counts(256);
  for (const uint8_t value : whole) ++counts[value];
  double chi_square = 0;
  for (const int64_t count : counts)
    chi_square += (static_cast<double>(count) - 100) * (static_cast<double>(count) - 100) / 100;
  CHECK(chi_square < 331);  // 255 degrees of freedom, p = 0.001
}

TEST_CASE("augment: jitter needs grey or RGB images") {
  const std::vector<Augmentation> list = parse_augmentations("jitter");
  CHECK_NOTHROW(check_augmentations(list, {3, 4, 4}));
  CHECK(failure_of([&] { check_augmentations(list, {4, 4, 4}); }).mentions("got 4 channels, expected 1 or 3"));
}

}  // namespace

TEST_CASE("augment: shares of mixup are Beta(A, A), and belong to seed, epoch and sample") {
  CHECK(mixup_strength(parse_augmentations("flip,mixup:0.2")) == 0.2);
  CHECK(mixup_strength(parse_augmentations("flip")) == 0);
  CHECK(mixup_share(0.2, 1, 2, 3) == mixup_share(0.2, 1, 2, 3));
  CHECK(mixup_share(1, 1, 2, 3) != mixup_share(1, 2, 2, 3));
  CHECK(mixup_share(1, 1, 2, 3) != mixup_share(1, 1, 3, 3));
  constexpr int64_t draws = 40000;
  for (const double strength : {0.001, 0.2, 0.5, 1.0, 4.0, 1000.0}) {
    // Moments of the distribution: mean 1/2, variance 1 / (4 (2A + 1)), fourth central moment 3 / (16 (2A + 1)(2A +
    // 3)).
    double mean = 0, variance = 0, fourth = 0;
    for (int64_t i = 0; i < draws; ++i) {
      const double share = mixup_share(strength, 7, 0, i);
      REQUIRE(share >= 0);
      REQUIRE(share <= 1);
      const double off = share - 0.5;
      mean += off / draws;
      variance += off * off / draws;
      fourth += off * off * off * off / draws;
    }
    const double twice = 2 * strength;
    CHECK(std::abs(mean) < 0.01);
    CHECK(variance == doctest::Approx(0.25 / (twice + 1)).epsilon(0.03));
    CHECK(fourth == doctest::Approx(0.1875 / ((twice + 1) * (twice + 3))).epsilon(0.06));
  }
}

}  // namespace pare
