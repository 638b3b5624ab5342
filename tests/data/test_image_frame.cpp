#include <doctest/doctest.h>

#include "src/data/image_frame.hpp"
#include "tests/data/data_files.hpp"

namespace pare {
namespace {

using test::failure_of;

constexpr ImageSize open{-1, -1};

TEST_CASE("image_frame: the shorter side and the crop are torchvision's sizes") {
  const ImageRule rule = image_rule({256, 0}, {}, {224, 224});
  const ImageFrame wide = rule.frame({375, 500});
  CHECK((wide.resized == ImageSize{256, 341}));
  CHECK((wide.top == 16 && wide.left == 58));  // 58.5 to even
  const ImageFrame high = rule.frame({501, 375});
  CHECK((high.resized == ImageSize{342, 256}));
  CHECK((high.top == 59 && high.left == 16));
}

TEST_CASE("image_frame: without sizes the image covers what the model takes") {
  const ImageRule rule = image_rule({}, {}, {20, 60});
  CHECK((rule.frame({100, 100}).resized == ImageSize{60, 60}));
  CHECK((rule.frame({100, 100}).top == 20));
  CHECK((rule.frame({10, 100}).resized == ImageSize{20, 200}));
  CHECK((rule.frame({10, 100}).left == 70));
  CHECK((rule.kept == ImageSize{20, 60}));
}

TEST_CASE("image_frame: what is kept is the crop, else the model's size, else the resized size") {
  CHECK((image_rule({30, 40}, {}, open).kept == ImageSize{30, 40}));
  CHECK((image_rule({30, 0}, {}, open).kept == ImageSize{30, 30}));
  CHECK((image_rule({30, 40}, {10, 12}, open).kept == ImageSize{10, 12}));
  CHECK((image_rule({30, 40}, {}, {8, 9}).kept == ImageSize{8, 9}));
  CHECK((image_rule({}, {10, 12}, open).frame({30, 31}).resized == ImageSize{30, 31}));
}

TEST_CASE("image_frame: sizes that cannot be name both sides") {
  CHECK(failure_of([] { image_rule({}, {}, open); }).code == ExitCode::usage);
  CHECK(failure_of([] {
          image_rule({}, {8, 9}, {8, 8});
        }).mentions("width of the samples does not fit the model (got 9, expected 8)"));
  CHECK(failure_of([] {
          image_rule({6, 8}, {}, {8, 8});
        }).mentions("height of the samples does not fit the model (got 6, expected 8)"));
  CHECK(failure_of([] { image_rule({6, 0}, {}, {8, 8}); }).mentions("got 6, expected at least 8"));
  const test::Failure small = failure_of([] { image_rule({}, {10, 10}, open).frame({9, 20}); });
  CHECK(small.code == ExitCode::bad_input);
  CHECK(small.mentions("got 9x20, expected at least 10x10"));
}

TEST_CASE("image_frame: sizes as text") {
  CHECK((parse_image_size("--crop", "224x192", false) == ImageSize{224, 192}));
  CHECK((parse_image_size("--resize", "256", true) == ImageSize{256, 0}));
  CHECK((parse_image_size("--resize", "", true) == ImageSize{}));
  for (const char* text : {"256", "x", "1x", "x1", "1x2x3", "-1x2", "0x2", "65536x2", " 1x2"})
    CHECK(failure_of([&] { parse_image_size("--crop", text, false); }).mentions("--crop: is no size"));
}

}  // namespace
}  // namespace pare
