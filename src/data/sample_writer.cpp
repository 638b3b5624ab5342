#include "src/data/sample_writer.hpp"

#include <algorithm>
#include <utility>

#include "src/data/values.hpp"

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

SampleWriter::SampleWriter(const Dataset& dataset, size_t field, const Shape& shape, const Preprocess& preprocess,
                           std::vector<Augmentation> augmentations, uint64_t seed)
    : dataset_(dataset),
      field_(field),
      type_(dataset.fields()[field].dtype),
      normalizer_(preprocess, shape, type_),
      augmentations_(std::move(augmentations)),
      seed_(seed),
      channels_(normalizer_.channels()) {
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

void SampleWriter::write(int64_t epoch, int64_t index, Scratch& scratch, float* target) const {
  const Placement placement = draw_placement(augmentations_, height_, width_, seed_, epoch, index);
  const int64_t plane_elements = height_ * width_;
  const std::byte* stored = dataset_.stored(field_, index, scratch.stored);
  if (type_ == DType::uint8) {
    const auto* values = reinterpret_cast<const uint8_t*>(stored);
    for (int64_t channel = 0; channel < channels_; ++channel) {
      const float* table = normalizer_.table(channel).data();
      write_plane(
          values + channel * plane_elements, placement, [table](uint8_t value) { return table[value]; },
          target + channel * plane_elements);
    }
    return;
  }
  scratch.values.resize(static_cast<size_t>(sample_elements()));
  to_floats(type_, stored, sample_elements(), scratch.values.data());
  for (int64_t channel = 0; channel < channels_; ++channel)
    write_plane(
        scratch.values.data() + channel * plane_elements, placement,
        [this, channel](float value) { return normalizer_(channel, value); }, target + channel * plane_elements);
}

}  // namespace pare
