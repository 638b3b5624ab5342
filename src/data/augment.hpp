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

struct Rectangle {
  int64_t top = 0;
  int64_t left = 0;
  int64_t height = 0;
  int64_t width = 0;
};

// What the augmentations make of one image: its brightness and contrast change, it is placed, and a rectangle of the
// result is replaced by noise.
struct ImageChange {
  double brightness = 1;  // factor of every stored value
  double contrast = 1;    // factor of the distance to the image's mean grey
  Placement placement;
  Rectangle erased;  // without area: nothing
  uint64_t noise_seed = 0;
};

// Of which sample, and how much of it.
struct AugmentationDraw {
  double amount = 0;
  int64_t height = 0;
  int64_t width = 0;
  RandomKey key;
  int64_t index = 0;
  int64_t epoch = 0;
};

struct AugmentationKind {
  std::string_view name;
  std::string_view argument;  // what follows the colon: N, whole pixels from 1; A, a number above 0; empty: nothing
  // Draws the change of a sample and adds it to `change`. Null for what is no change of one image.
  void (*draw)(ImageChange& change, const AugmentationDraw& draw);
};

// "flip, shift:N, ...": how each is written.
std::string augmentation_usages();

struct Augmentation {
  const AugmentationKind* kind = nullptr;
  double amount = 0;
};

// "flip,shift:2" as a list; "" is the empty list. Throws (exit 2) for an unknown name, a missing, superfluous or bad
// number, or an augmentation given twice.
std::vector<Augmentation> parse_augmentations(std::string_view list);

// Throws (exit 2) when the augmentations need images [C,H,W] (jitter: of 1 or 3 channels) and the samples are none, or
// move an image out of its frame.
void check_augmentations(std::span<const Augmentation> augmentations, const Shape& sample_shape);

// What the augmentations make of sample `index` in `epoch`, an image of height x width. Erased rectangles are those of
// random erasing (Zhong et al. 2017, algorithm 1) with the paper's p = 0.5, area 0.02 to 0.4, aspect ratio 0.3 to
// 1/0.3; brightness and contrast are uniform in 0.6 to 1.4.
ImageChange draw_change(std::span<const Augmentation> augmentations, int64_t height, int64_t width, uint64_t seed,
                        int64_t epoch, int64_t index);

// The A of mixup:A among the augmentations; 0 without.
double mixup_strength(std::span<const Augmentation> augmentations);

// The share of sample `index` in the mixture that takes its place in `epoch`, from Beta(strength, strength) (mixup,
// Zhang et al. 2018): strength > 0; small ones leave most samples nearly alone.
double mixup_share(double strength, uint64_t seed, int64_t epoch, int64_t index);

// `count` values of the noise in an erased rectangle, uniform over 0 to 255, from element `first` of the image on.
void erasing_noise(uint64_t noise_seed, int64_t first, std::span<uint8_t> values);

}  // namespace pare
