// Random changes of training images, as pure functions of (seed, epoch, sample): a resumed run, another thread count
// and a stored teacher output all see the same image.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/core/random.hpp"
#include "src/graph/tensor.hpp"

namespace pare {

// Where one axis of the output image comes from: output position p in [begin, end) shows input position offset + step *
// p; every other output position is empty (stored value 0).
struct AxisMap {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t step = 1;  // 1, or -1 when mirrored
  int64_t offset = 0;

  static AxisMap identity(int64_t size) { return {0, size, 1, 0}; }
  // This map followed by a move of the image by `distance` positions, or by a mirror, both inside an axis of `size`.
  AxisMap shifted(int64_t distance, int64_t size) const;
  AxisMap mirrored(int64_t size) const;
};

// A chain of flips and shifts collapses into one of these: the image is still written in one pass.
struct Placement {
  AxisMap rows;
  AxisMap columns;
};

struct AugmentationKind {
  std::string_view name;
  std::string_view argument;  // what follows the colon; empty when nothing does
  std::string_view meaning;
  // Draws the change of sample `index` in `epoch` and applies it to `placement` of an image of height x width.
  void (*place)(Placement& placement, int64_t amount, int64_t height, int64_t width, RandomKey key, int64_t index,
                int64_t epoch);
};

// Every augmentation that --augment knows.
std::span<const AugmentationKind> augmentation_kinds();

struct Augmentation {
  const AugmentationKind* kind = nullptr;
  int64_t amount = 0;
};

// "flip,shift:2" as a list; "" is the empty list. Throws (exit 2) for an unknown name, a missing, superfluous or bad
// number, or an augmentation given twice.
std::vector<Augmentation> parse_augmentations(std::string_view list);

// Throws (exit 2) when the augmentations need images [C,H,W] and the samples are none, or move an image out of its
// frame.
void check_augmentations(std::span<const Augmentation> augmentations, const Shape& sample_shape);

// What the augmentations make of sample `index` in `epoch`.
Placement draw_placement(std::span<const Augmentation> augmentations, int64_t height, int64_t width, uint64_t seed,
                         int64_t epoch, int64_t index);

}  // namespace pare
