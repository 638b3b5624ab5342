#include "src/data/image_frame.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "src/core/error.hpp"

namespace pare {
namespace {

constexpr int64_t largest_side = 65535;

std::optional<int64_t> read_side(std::string_view text) {
  int64_t side = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), side);
  if (error != std::errc{} || stop != text.data() + text.size() || side < 1 || side > largest_side) return std::nullopt;
  return side;
}

std::string size_text(ImageSize size) { return fmt::format("{}x{}", size.height, size.width); }

int64_t centred(int64_t size, int64_t kept) {
  return static_cast<int64_t>(std::nearbyint(static_cast<double>(size - kept) / 2));
}

int64_t scaled(int64_t side, int64_t to, int64_t from) { return std::max<int64_t>(1, side * to / from); }

ImageSize resized(const ImageRule& rule, ImageSize whole) {
  const auto [height, width] = whole;
  switch (rule.resize) {
    case ImageRule::Resize::none:
      return whole;
    case ImageRule::Resize::exact:
      return rule.size;
    case ImageRule::Resize::shorter_side: {
      const int64_t side = rule.size.height;
      return height <= width ? ImageSize{side, scaled(width, side, height)}
                             : ImageSize{scaled(height, side, width), side};
    }
    case ImageRule::Resize::cover:
      break;
  }
  const ImageSize kept = rule.kept;
  const bool by_height = kept.height * width >= kept.width * height;
  return by_height ? ImageSize{kept.height, scaled(width, kept.height, height)}
                   : ImageSize{scaled(height, kept.width, width), kept.width};
}

void check_side(std::string_view side, int64_t got, int64_t expected) {
  if (expected >= 0 && got != expected)
    fail_input("--resize, --crop: the {} of the samples does not fit the model (got {}, expected {})", side, got,
               expected);
}

}  // namespace

ImageSize parse_image_size(std::string_view option, std::string_view text, bool shorter) {
  if (text.empty()) return {};
  const size_t cross = text.find('x');
  const auto height = read_side(text.substr(0, cross));
  if (cross == std::string_view::npos && shorter && height) return {*height, 0};
  const auto width = cross == std::string_view::npos ? std::nullopt : read_side(text.substr(cross + 1));
  if (!height || !width)
    fail_usage("{}: is no size (got '{}', expected rows x columns as 224x192{}, of 1 to {})", option, text,
               shorter ? ", or the shorter side" : "", largest_side);
  return {*height, *width};
}

ImageFrame ImageRule::frame(ImageSize whole) const {
  const ImageSize size = resized(*this, whole);
  if (size.height < kept.height || size.width < kept.width)
    fail_input("the image is smaller than the crop (got {}, expected at least {}); give --resize", size_text(size),
               size_text(kept));
  return {size, centred(size.height, kept.height), centred(size.width, kept.width), kept};
}

ImageRule image_rule(ImageSize resize, ImageSize crop, ImageSize model) {
  ImageRule rule;
  const bool shorter = resize.height > 0 && resize.width == 0;
  rule.size = resize;
  if (resize.height > 0) rule.resize = shorter ? ImageRule::Resize::shorter_side : ImageRule::Resize::exact;
  else if (crop.height > 0) rule.resize = ImageRule::Resize::none;
  const ImageSize before = shorter ? ImageSize{resize.height, resize.height} : resize;
  const bool known = model.height > 0 && model.width > 0;
  rule.kept = crop.height > 0 ? crop : known ? model : before;
  if (rule.kept.height == 0)
    fail_usage("--resize: the model leaves the size of its images open; give --resize, --crop or --shape");
  if (rule.resize == ImageRule::Resize::exact && (resize.height < rule.kept.height || resize.width < rule.kept.width)) {
    if (crop.height > 0)
      fail_usage("--crop: is larger than --resize (got {}, expected at most {})", size_text(crop), size_text(resize));
    rule.kept = resize;
  }
  if (shorter && std::min(rule.kept.height, rule.kept.width) > resize.height)
    fail_usage("--resize {}: the images become smaller than the crop (got {}, expected at least {})", resize.height,
               resize.height, std::min(rule.kept.height, rule.kept.width));
  check_side("height", rule.kept.height, model.height);
  check_side("width", rule.kept.width, model.width);
  return rule;
}

}  // namespace pare
