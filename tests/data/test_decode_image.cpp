#include <string>

#include <doctest/doctest.h>

#include "src/data/decode_image.hpp"
#include "tests/data/data_files.hpp"

// What whole files become is compared with Pillow in test_images.py.
namespace pare {
namespace {

using test::failure_of;

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST_CASE("decode_image: formats by their first bytes") {
  CHECK(image_format(bytes_of("\xff\xd8\xff\xe0")) == ImageFormat::jpeg);
  CHECK(image_format(bytes_of("\x89PNG\r\n\x1a\n")) == ImageFormat::png);
  CHECK(image_format(bytes_of("\x89PNG\r\n\x1a")) == ImageFormat::none);
  CHECK(image_format(bytes_of("\xff\xd8")) == ImageFormat::none);
  CHECK(image_format({}) == ImageFormat::none);
}

TEST_CASE("decode_image: files without content and of other formats are refused") {
  Image image;
  const auto decode = [&](const std::string& text) {
    return failure_of([&] {
      decode_image(
          bytes_of(text), 3, [](ImageSize whole) { return whole; }, image);
    });
  };
  CHECK(decode("GIF89a").mentions("neither a JPEG nor a PNG"));
  CHECK(decode("\xff\xd8\xff\xe0").mentions("damaged or truncated JPEG"));
  CHECK(decode("\x89PNG\r\n\x1a\n").mentions("damaged or truncated PNG"));
  // An IHDR that is right up to its size: 2^31-1 columns of 2^31-1 rows.
  const std::string header("\0\0\0\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x02\0\0\0", 21);
  CHECK(decode("\x89PNG\r\n\x1a\n" + header + "....").code == ExitCode::bad_input);
  CHECK(failure_of([] { check_pixels(1 << 15, 1 << 14); }).mentions("got 32768x16384"));
  CHECK(failure_of([] { check_pixels(0, 5); }).code == ExitCode::bad_input);
  check_pixels(1 << 14, 1 << 14);
}

TEST_CASE("decode_image: grey is the luma, rounded") {
  Image image{{255, 255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255, 1, 2, 3}, 1, 5, 3, 1, 5};
  rgb_to_grey(image);
  CHECK(image.pixels == std::vector<uint8_t>{255, 76, 150, 29, 2});
  CHECK(image.channels == 1);
}

}  // namespace
}  // namespace pare
