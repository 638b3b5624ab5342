#include "src/data/sample_writer.hpp"

#include <algorithm>
#include <utility>

namespace pare {
namespace {

template <class Stored, class Convert>
void write_row(const Stored* row, const AxisMap& map, int64_t width, Convert convert, float* target) {
  const float empty = convert(Stored{0});
  std::fill(target, target + map.begin, empty);
  const Stored* source = row + map.offset;
  if (map.step == 1)
    for (int64_t x = map.begin; x < map.end; ++x) target[x] = convert(source[x]);
  else
    for (int64_t x = map.begin; x < map.end; ++x) target[x] = convert(source[-x]);
  std::fill(target + map.end, target + width, empty);
}

}  // namespace

SampleWriter::SampleWriter(const Dataset& dataset, const Preprocess& preprocess,
                           std::vector<Augmentation> augmentations, uint64_t seed)
    : dataset_(dataset),
      normalizer_(preprocess, dataset.sample_shape(), dataset.element_type()),
      augmentations_(std::move(augmentations)),
      seed_(seed),
      channels_(normalizer_.channels()) {
  const Shape& shape = dataset.sample_shape();
  check_augmentations(augmentations_, shape);
  height_ = shape.size() == 3 ? shape[1] : 1;
  width_ = element_count(shape) / (channels_ * height_);
}

template <class Stored, class Convert>
void SampleWriter::write_plane(const Stored* plane, const Placement& placement, Convert convert, float* target) const {
  if (augmentations_.empty()) {
    std::transform(plane, plane + height_ * width_, target, convert);
    return;
  }
  const auto [rows, columns] = placement;
  std::fill(target, target + rows.begin * width_, convert(Stored{0}));
  for (int64_t y = rows.begin; y < rows.end; ++y)
    write_row(plane + (rows.offset + rows.step * y) * width_, columns, width_, convert, target + y * width_);
  std::fill(target + rows.end * width_, target + height_ * width_, convert(Stored{0}));
}

void SampleWriter::write(int64_t epoch, int64_t index, std::vector<float>& scratch, float* target) const {
  const Placement placement = draw_placement(augmentations_, height_, width_, seed_, epoch, index);
  const int64_t plane_elements = height_ * width_;
  if (const uint8_t* stored = dataset_.stored_uint8(index)) {
    for (int64_t channel = 0; channel < channels_; ++channel) {
      const float* table = normalizer_.table(channel).data();
      write_plane(
          stored + channel * plane_elements, placement, [table](uint8_t value) { return table[value]; },
          target + channel * plane_elements);
    }
    return;
  }
  scratch.resize(static_cast<size_t>(sample_elements()));
  dataset_.read(index, scratch.data());
  for (int64_t channel = 0; channel < channels_; ++channel)
    write_plane(
        scratch.data() + channel * plane_elements, placement,
        [this, channel](float value) { return normalizer_(channel, value); }, target + channel * plane_elements);
}

}  // namespace pare
