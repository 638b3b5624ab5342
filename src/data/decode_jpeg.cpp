#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include <turbojpeg.h>

#include "src/core/error.hpp"
#include "src/data/decode_image.hpp"

namespace pare {
namespace {

// What TurboJPEG does not tell: how the picture was held, and whether Adobe wrote it (its CMYK is inverted).
struct Markers {
  int orientation = 1;  // EXIF 2.3, tag 0x112: 1 to 8
  bool adobe = false;
};

using Bytes8 = std::span<const std::byte>;

std::optional<uint32_t> number_at(Bytes8 bytes, size_t at, size_t size, bool big_endian) {
  if (at > bytes.size() || bytes.size() - at < size) return std::nullopt;
  uint32_t value = 0;
  for (size_t i = 0; i < size; ++i)
    value |= std::to_integer<uint32_t>(bytes[at + i]) << 8 * (big_endian ? size - 1 - i : i);
  return value;
}

bool begins_with(Bytes8 bytes, std::string_view start) {
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()).starts_with(start);
}

// Of a TIFF header and its first directory: entries of 12 bytes, tag, type, count, value. What is damaged says nothing.
int orientation_of(Bytes8 tiff) {
  constexpr uint32_t orientation_tag = 0x112;
  const bool big = begins_with(tiff, "MM");
  const auto directory = number_at(tiff, 4, 4, big);
  if (!directory) return 1;
  const auto entries = number_at(tiff, *directory, 2, big);
  for (uint32_t i = 0; i < entries.value_or(0); ++i) {
    const size_t at = size_t{*directory} + 2 + 12 * size_t{i};
    const auto tag = number_at(tiff, at, 2, big);
    const auto value = number_at(tiff, at + 8, 2, big);
    if (!tag || !value) return 1;
    if (*tag == orientation_tag) return *value >= 1 && *value <= 8 ? static_cast<int>(*value) : 1;
  }
  return 1;
}

Markers read_markers(Bytes8 file) {
  constexpr uint32_t app1 = 0xffe1, app14 = 0xffee, start_of_scan = 0xffda;
  constexpr std::string_view exif("Exif\0\0", 6);
  Markers markers;
  for (size_t at = 2;;) {
    const auto marker = number_at(file, at, 2, true);
    const auto size = number_at(file, at + 2, 2, true);
    if (!marker || !size || *marker < 0xff00 || *marker == start_of_scan || *size < 2) return markers;
    const Bytes8 content = file.subspan(at + 4, std::min<size_t>(*size - 2, file.size() - at - 4));
    if (*marker == app1 && begins_with(content, exif)) markers.orientation = orientation_of(content.subspan(6));
    if (*marker == app14 && begins_with(content, "Adobe")) markers.adobe = true;
    at += 2 + size_t{*size};
  }
}

// An image whose stored rows and columns are those that orientation 1 to 8 says. 5 and more exchange them.
struct Turn {
  bool transposed, rows_reversed, columns_reversed;  // of the stored image
};

Turn turn_of(int orientation) {
  constexpr Turn turns[] = {{false, false, false}, {false, false, true}, {false, true, true}, {false, true, false},
                            {true, false, false},  {true, true, false},  {true, true, true},  {true, false, true}};
  return turns[orientation - 1];
}

void turn_image(Image& image, Turn turn) {
  if (!turn.transposed && !turn.rows_reversed && !turn.columns_reversed) return;
  std::vector<uint8_t> turned(image.pixels.size());
  const int64_t height = turn.transposed ? image.width : image.height;
  const int64_t width = turn.transposed ? image.height : image.width;
  uint8_t* target = turned.data();
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      int64_t row = turn.transposed ? x : y, column = turn.transposed ? y : x;
      if (turn.rows_reversed) row = image.height - 1 - row;
      if (turn.columns_reversed) column = image.width - 1 - column;
      target = std::copy_n(image.pixels.data() + (row * image.width + column) * image.channels, image.channels, target);
    }
  image.pixels.swap(turned);
  image.height = height;
  image.width = width;
  if (turn.transposed) std::swap(image.exact_height, image.exact_width);
}

// The four inks to RGB as Pillow does it.
void cmyk_to_rgb(Image& image, bool inverted) {
  const auto product = [](uint32_t a, uint32_t b) {
    const uint32_t value = a * b + 128;
    return (value + (value >> 8)) >> 8;
  };
  const size_t pixels = image.pixels.size() / 4;
  const uint8_t flip = inverted ? 0xff : 0;
  for (size_t i = 0; i < pixels; ++i) {
    const uint8_t* inks = image.pixels.data() + 4 * i;
    const uint8_t cmy[3] = {static_cast<uint8_t>(inks[0] ^ flip), static_cast<uint8_t>(inks[1] ^ flip),
                            static_cast<uint8_t>(inks[2] ^ flip)};
    const uint32_t light = 255u - (inks[3] ^ flip);
    for (size_t channel = 0; channel < 3; ++channel)
      image.pixels[3 * i + channel] = static_cast<uint8_t>(light - product(cmy[channel], light));
  }
  image.pixels.resize(3 * pixels);
  image.channels = 3;
}

// One of a thread: making it costs as much as decoding a small image.
tjhandle decoder() {
  struct Destroy {
    void operator()(void* handle) const { tjDestroy(handle); }
  };
  thread_local const std::unique_ptr<void, Destroy> handle(tjInitDecompress());
  if (!handle) fail_run("libjpeg-turbo cannot be used ({})", tjGetErrorStr2(nullptr));
  return handle.get();
}

struct Reduction {
  tjscalingfactor factor{1, 1};
  double of(int64_t side) const { return static_cast<double>(side) * factor.num / factor.denom; }
};

// The smallest of libjpeg-turbo's sizes that is not smaller than what is needed.
Reduction reduction_for(ImageSize whole, ImageSize needed) {
  int count = 0;
  const tjscalingfactor* const factors = tjGetScalingFactors(&count);
  Reduction best;
  for (const tjscalingfactor& factor : std::span(factors, static_cast<size_t>(count))) {
    const Reduction tried{factor};
    if (tried.of(1) < best.of(1) && tried.of(whole.height) >= static_cast<double>(needed.height) &&
        tried.of(whole.width) >= static_cast<double>(needed.width))
      best = tried;
  }
  return best;
}

// Bytes between a segment and the next marker are left by some cameras and editors; every reader skips them.
bool is_harmless(std::string_view warning) { return warning.find("extraneous bytes before marker") != warning.npos; }

}  // namespace

void decode_jpeg(std::span<const std::byte> file, int64_t channels, const NeededSize& needed, Image& image) {
  const tjhandle handle = decoder();
  const auto* bytes = reinterpret_cast<const unsigned char*>(file.data());
  int width = 0, height = 0, sampling = 0, colours = 0;
  const auto check = [&](int result) {
    if (result == 0 || (tjGetErrorCode(handle) == TJERR_WARNING && is_harmless(tjGetErrorStr2(handle)))) return;
    fail_input("a damaged or truncated JPEG file ({})", tjGetErrorStr2(handle));
  };
  check(tjDecompressHeader3(handle, bytes, file.size(), &width, &height, &sampling, &colours));
  if (width < 1) fail_input("a damaged or truncated JPEG file (no image in it)");
  check_pixels(height, width);
  const Markers markers = read_markers(file);
  const Turn turn = turn_of(markers.orientation);
  ImageSize least = needed(turn.transposed ? ImageSize{width, height} : ImageSize{height, width});
  if (turn.transposed) std::swap(least.height, least.width);
  const Reduction reduction = reduction_for({height, width}, least);
  const bool inks = colours == TJCS_CMYK || colours == TJCS_YCCK;
  const bool grey = colours == TJCS_GRAY && channels == 1;
  image.channels = inks ? 4 : grey ? 1 : 3;
  image.height = TJSCALED(height, reduction.factor);
  image.width = TJSCALED(width, reduction.factor);
  image.exact_height = reduction.of(height);
  image.exact_width = reduction.of(width);
  image.pixels.resize(static_cast<size_t>(image.height * image.width * image.channels));
  check(tjDecompress2(handle, bytes, file.size(), image.pixels.data(), static_cast<int>(image.width), 0,
                      static_cast<int>(image.height),
                      inks   ? TJPF_CMYK
                      : grey ? TJPF_GRAY
                             : TJPF_RGB,
                      0));
  if (inks) cmyk_to_rgb(image, markers.adobe);
  if (image.channels > channels) rgb_to_grey(image);
  turn_image(image, turn);
}

}  // namespace pare
