#include <csetjmp>
#include <cstring>
#include <string>

#include <png.h>

#include "src/core/error.hpp"
#include "src/data/decode_image.hpp"

namespace pare {
namespace {

// libpng reports errors by a long jump: between setjmp() and the call that may jump live only these, outside of the
// jump.
struct Reading {
  std::span<const std::byte> left;
  std::string error;
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::vector<png_bytep> rows;

  Reading() = default;
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;
  ~Reading() { png_destroy_read_struct(&png, &info, nullptr); }
};

void read_bytes(png_structp png, png_bytep target, size_t count) {
  auto& reading = *static_cast<Reading*>(png_get_io_ptr(png));
  if (reading.left.size() < count) png_error(png, "the file ends too early");
  std::memcpy(target, reading.left.data(), count);
  reading.left = reading.left.subspan(count);
}

[[noreturn]] void keep_error(png_structp png, png_const_charp message) {
  static_cast<Reading*>(png_get_error_ptr(png))->error = message;
  png_longjmp(png, 1);
}

void ignore_warning(png_structp, png_const_charp) {}

// Reads the header, and asks for 8 bits a channel, grey or RGB, without transparency. False after an error.
bool read_header(Reading& reading, int64_t channels) {
  if (setjmp(png_jmpbuf(reading.png)) != 0) return false;
  png_read_info(reading.png, reading.info);
  png_set_strip_16(reading.png);
  png_set_strip_alpha(reading.png);
  const int type = png_get_color_type(reading.png, reading.info);
  if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(reading.png);
  if (type == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(reading.png);
  if (channels == 3 && (type & PNG_COLOR_MASK_COLOR) == 0) png_set_gray_to_rgb(reading.png);
  png_set_interlace_handling(reading.png);
  png_read_update_info(reading.png, reading.info);
  return true;
}

bool read_pixels(Reading& reading) {
  if (setjmp(png_jmpbuf(reading.png)) != 0) return false;
  png_read_image(reading.png, reading.rows.data());
  png_read_end(reading.png, nullptr);
  return true;
}

}  // namespace

void decode_png(std::span<const std::byte> file, int64_t channels, Image& image) {
  Reading reading;
  reading.left = file;
  const auto refuse = [&] { fail_input("a damaged or truncated PNG file ({})", reading.error); };
  reading.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reading, keep_error, ignore_warning);
  if (reading.png != nullptr) reading.info = png_create_info_struct(reading.png);
  if (reading.info == nullptr) fail_run("libpng cannot be used");
  png_set_read_fn(reading.png, &reading, read_bytes);
  if (!read_header(reading, channels)) refuse();
  image.height = png_get_image_height(reading.png, reading.info);
  image.width = png_get_image_width(reading.png, reading.info);
  image.channels = png_get_channels(reading.png, reading.info);
  check_pixels(image.height, image.width);
  image.exact_height = static_cast<double>(image.height);
  image.exact_width = static_cast<double>(image.width);
  const auto row_bytes = static_cast<size_t>(image.width * image.channels);
  image.pixels.resize(static_cast<size_t>(image.height) * row_bytes);
  for (int64_t y = 0; y < image.height; ++y)
    reading.rows.push_back(image.pixels.data() + static_cast<size_t>(y) * row_bytes);
  if (!read_pixels(reading)) refuse();
  if (image.channels > channels) rgb_to_grey(image);
}

}  // namespace pare
