// Resizing of images with antialiasing.
#pragma once

#include <cstdint>
#include <vector>

namespace pare {

// One axis of a resize.
struct ResizeAxis {
  int64_t source = 0;  // pixels that there are
  double extent = 0;   // the length that becomes `target`, in source pixels: `source`, or up to a pixel less
  int64_t target = 0;  // pixels that the whole axis becomes
  int64_t first = 0;   // of them, `count` from `first` on are computed
  int64_t count = 0;
};

// Elements between neighbours of the result.
struct ImageSteps {
  int64_t row = 0;
  int64_t pixel = 0;
  int64_t channel = 0;
};

// Working memory of a thread.
struct ResizeMemory {
  std::vector<float> row;
};

// Resizes `image` [rows.source, columns.source, channels] bilinearly with antialiasing, and writes the pixels that the
// axes ask for to `target`: as Pillow's BILINEAR and torchvision's antialias=True, the triangle filter is as wide as
// the reduction. Intermediate values are not rounded as Pillow's are: results differ from Pillow's by at most 1.
// `channels` is 1 or 3; the same on every machine.
void resize_image(const uint8_t* image, const ResizeAxis& rows, const ResizeAxis& columns, int64_t channels,
                  ResizeMemory& memory, uint8_t* target, ImageSteps steps);

}  // namespace pare
