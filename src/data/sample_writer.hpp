// From a stored sample to its place in a batch: augmented, preprocessed and laid out in one pass.
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
  // Writes `field` of `dataset`, which must outlive the writer, as samples of `shape`, as they are stored. Throws (exit
  // 2) when preprocess or augmentations do not fit the samples.
  SampleWriter(const Dataset& dataset, size_t field, const Shape& shape, const Preprocess& preprocess,
               std::vector<Augmentation> augmentations, uint64_t seed, ChannelOrder order = {});

  int64_t sample_elements() const { return channels_ * height_ * width_; }
  struct Scratch {
    std::vector<std::byte> stored;
    std::vector<float> values;
    std::vector<uint8_t> noise;
  };
  // Writes the model's input for sample `index` in `epoch`: sample_elements() values. `scratch` is working memory.
  void write(int64_t epoch, int64_t index, Scratch& scratch, float* target) const;

 private:
  // Between the elements of a plane and of its rows, and between the planes.
  struct Steps {
    int64_t pixel = 1;
    int64_t row = 1;
    int64_t channel = 1;
  };
  Steps steps(bool channels_last) const;

  template <class Stored>
  void write_image(const Stored* image, const ImageChange& change, float* target) const;
  template <class Stored, class Convert>
  void write_plane(const Stored* plane, const Placement& placement, Convert convert, float empty, float* target) const;
  template <class Convert>
  void write_noise(const ImageChange& change, std::vector<uint8_t>& noise, Convert convert, float* target) const;
  template <class Stored>
  double mean_grey(const Stored* image, double brightness, double highest) const;

  const Dataset& dataset_;
  size_t field_;
  DType type_;
  Normalizer normalizer_;
  std::vector<Augmentation> augmentations_;
  uint64_t seed_;
  int64_t channels_;
  int64_t height_;  // of a plane; what is no image is planes of one row
  int64_t width_;
  Steps stored_;
  Steps input_;
};

}  // namespace pare
