#include "src/data/decode_image.hpp"

#include <algorithm>
#include <array>

#include "src/core/error.hpp"

namespace pare {
namespace {

bool starts_with(std::span<const std::byte> bytes, std::span<const uint8_t> start) {
  return bytes.size() >= start.size() &&
         std::equal(start.begin(), start.end(), bytes.begin(),
                    [](uint8_t expected, std::byte got) { return std::byte{expected} == got; });
}

}  // namespace

ImageFormat image_format(std::span<const std::byte> start) {
  constexpr std::array<uint8_t, 3> jpeg{0xff, 0xd8, 0xff};
  constexpr std::array<uint8_t, 8> png{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  if (starts_with(start, jpeg)) return ImageFormat::jpeg;
  return starts_with(start, png) ? ImageFormat::png : ImageFormat::none;
}

void check_pixels(int64_t height, int64_t width) {
  constexpr int64_t most = int64_t{1} << 28;
  if (height < 1 || width < 1 || height > most / width)
    fail_input("the image has a size that cannot be read (got {}x{}, expected 1 to {} pixels)", height, width, most);
}

void rgb_to_grey(Image& image) {
  const size_t pixels = image.pixels.size() / 3;
  for (size_t i = 0; i < pixels; ++i) {
    const uint8_t* rgb = image.pixels.data() + 3 * i;
    image.pixels[i] = static_cast<uint8_t>((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
  }
  image.pixels.resize(pixels);
  image.channels = 1;
}

void decode_image(std::span<const std::byte> file, int64_t channels, const NeededSize& needed, Image& image) {
  switch (image_format(file)) {
    case ImageFormat::jpeg:
      return decode_jpeg(file, channels, needed, image);
    case ImageFormat::png:
      decode_png(file, channels, image);
      needed({image.height, image.width});
      return;
    case ImageFormat::none:
      fail_input("neither a JPEG nor a PNG file");
  }
}

}  // namespace pare
