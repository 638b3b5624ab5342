// From a stored sample to its place in a batch: augmented and preprocessed in one pass.
#pragma once

#include <cstdint>
#include <vector>

#include "src/data/augment.hpp"
#include "src/data/dataset.hpp"
#include "src/data/preprocess.hpp"

namespace pare {

// Immutable; write() may be called from several threads at once, each with its own scratch.
class SampleWriter {
 public:
  // Writes `field` of `dataset`, which must outlive the writer, as samples of `shape`. Throws (exit 2) when preprocess
  // or augmentations do not fit the samples.
  SampleWriter(const Dataset& dataset, size_t field, const Shape& shape, const Preprocess& preprocess,
               std::vector<Augmentation> augmentations, uint64_t seed);

  int64_t sample_elements() const { return channels_ * height_ * width_; }
  struct Scratch {
    std::vector<std::byte> stored;
    std::vector<float> values;
  };
  // Writes the model's input for sample `index` in `epoch`: sample_elements() values. `scratch` is working memory.
  void write(int64_t epoch, int64_t index, Scratch& scratch, float* target) const;

 private:
  template <class Stored, class Convert>
  void write_plane(const Stored* plane, const Placement& placement, Convert convert, float* target) const;

  const Dataset& dataset_;
  size_t field_;
  DType type_;
  Normalizer normalizer_;
  std::vector<Augmentation> augmentations_;
  uint64_t seed_;
  int64_t channels_;
  int64_t height_;  // of a plane; what is no image is planes of one row
  int64_t width_;
};

}  // namespace pare
