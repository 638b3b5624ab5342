// The geometry of preprocessed images: which size they are resized to, and which part of that is the sample.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pare {

// Rows and columns, in pixels.
struct ImageSize {
  int64_t height = 0;
  int64_t width = 0;

  bool operator==(const ImageSize&) const = default;
};

// "224x192" as rows x columns, or, where `shorter` is allowed, "256" as {256, 0}; "" as {0, 0}. Throws (exit 2), naming
// `option`, for anything else and for sizes above 65535.
ImageSize parse_image_size(std::string_view option, std::string_view text, bool shorter);

// An image after resizing, and the part of it that is kept.
struct ImageFrame {
  ImageSize resized;
  int64_t top = 0;
  int64_t left = 0;
  ImageSize kept;
};

// How images of any size become samples of one size.
struct ImageRule {
  enum class Resize { none, exact, shorter_side, cover };
  Resize resize = Resize::cover;
  ImageSize size;  // exact: the size; shorter_side: its length as height; else unused
  ImageSize kept;  // the centre crop, the size of every sample

  // The frame of an image of size `whole`. Sizes are torchvision's: the longer side is cut to whole pixels, the crop's
  // corner is rounded half to even. `cover` is the smallest size of the image's shape that covers the crop. Throws
  // (exit 3) when the resized image is smaller than the crop.
  ImageFrame frame(ImageSize whole) const;
};

// The rule of --resize and --crop, parsed (all 0: not given), for a model whose images are `model` (-1: open). The
// centre crop is --crop, else the model's size, else the resized size. Throws: exit 2 when nothing says how large
// samples are, or a crop is larger than what it is cut from; exit 3 when the result is not the model's size, with the
// dimension and both sides named.
ImageRule image_rule(ImageSize resize, ImageSize crop, ImageSize model);

}  // namespace pare
