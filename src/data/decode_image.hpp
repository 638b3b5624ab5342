// JPEG and PNG files as pixels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "src/data/image_frame.hpp"

namespace pare {

enum class ImageFormat { none, jpeg, png };

// What the first bytes of a file (8 are enough) say that it is.
ImageFormat image_format(std::span<const std::byte> start);

// Pixels [rows, columns, channels], 0 to 255.
struct Image {
  std::vector<uint8_t> pixels;
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 0;
  // The size before it was reduced and `pixels` were rounded up to whole ones, in pixels of this image.
  double exact_height = 0;
  double exact_width = 0;
};

// The least size that is needed of an image of size `whole`; called once an image.
using NeededSize = std::function<ImageSize(ImageSize whole)>;

// Decodes a file as grey (`channels` 1) or RGB (3); the other is converted as Pillow's convert() does it. A JPEG may be
// decoded smaller, by eighths, as long as it is not smaller than `needed` of its size; it is turned as its EXIF
// orientation says. Of a PNG transparency is dropped, and of 16 bits the higher 8 are taken. Throws (exit 3) for a file
// of another format, a damaged or truncated one, and one of more than 2^28 pixels. `image`'s memory is used again.
void decode_image(std::span<const std::byte> file, int64_t channels, const NeededSize& needed, Image& image);

// The decoders of the two formats.
void decode_jpeg(std::span<const std::byte> file, int64_t channels, const NeededSize& needed, Image& image);
void decode_png(std::span<const std::byte> file, int64_t channels, Image& image);

// Throws (exit 3) for an image that is empty or too large to decode.
void check_pixels(int64_t height, int64_t width);

// RGB pixels to grey, in place: L = (19595 R + 38470 G + 7471 B + 2^15) / 2^16, the luma of ITU-R BT.601 as Pillow
// rounds it.
void rgb_to_grey(Image& image);

}  // namespace pare
