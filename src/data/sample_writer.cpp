#include "src/data/sample_writer.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <type_traits>
#include <utility>

#include "src/data/values.hpp"

namespace pare {
namespace {

Shape channels_first(const Shape& stored, bool stored_last) { return input_shape(stored, {stored_last, false}); }

template <class Stored, class Convert>
void write_row(const Stored* row, int64_t stored_step, const AxisMap& map, int64_t width, Convert convert, float empty,
               float* target, int64_t step) {
  const Stored* source = row + map.offset * stored_step;
  const int64_t source_step = map.step * stored_step;
  if (step == 1) std::fill(target, target + map.begin, empty);
  else
    for (int64_t x = 0; x < map.begin; ++x) target[x * step] = empty;
  // The usual case by itself: the compiler makes better code of it.
  if (source_step == 1 && step == 1)
    for (int64_t x = map.begin; x < map.end; ++x) target[x] = convert(source[x]);
  else
    for (int64_t x = map.begin; x < map.end; ++x) target[x * step] = convert(source[x * source_step]);
  for (int64_t x = map.end; x < width; ++x) target[x * step] = empty;
}

// Brightness, then contrast, as torchvision's ColorJitter: values stay in the range that their type has.
struct Colour {
  double brightness;
  double contrast;
  double grey;     // mean of the brightened image
  double highest;  // infinite for types without a range; the lowest is then not bounded either

  double operator()(double stored) const {
    const double bright = std::min(stored * brightness, highest);
    const double value = contrast * bright + (1 - contrast) * grey;
    return highest == std::numeric_limits<double>::infinity() ? value : std::clamp(value, 0.0, highest);
  }
};

}  // namespace

SampleWriter::SampleWriter(const Dataset& dataset, size_t field, const Shape& shape, const Preprocess& preprocess,
                           std::vector<Augmentation> augmentations, uint64_t seed, ChannelOrder order)
    : dataset_(dataset),
      field_(field),
      type_(dataset.fields()[field].dtype),
      normalizer_(preprocess, channels_first(shape, order.stored_last), type_),
      augmentations_(std::move(augmentations)),
      seed_(seed),
      channels_(normalizer_.channels()) {
  const Shape planes = channels_first(shape, order.stored_last);
  check_augmentations(augmentations_, planes);
  height_ = planes.size() == 3 ? planes[1] : 1;
  width_ = element_count(planes) / (channels_ * height_);
  stored_ = steps(order.stored_last);
  input_ = steps(order.input_last);
}

SampleWriter::Steps SampleWriter::steps(bool channels_last) const {
  if (channels_last) return {channels_, width_ * channels_, 1};
  return {1, width_, height_ * width_};
}

template <class Stored, class Convert>
void SampleWriter::write_plane(const Stored* plane, const Placement& placement, Convert convert, float empty,
                               float* target) const {
  if (augmentations_.empty() && stored_.pixel == 1 && input_.pixel == 1) {
    std::transform(plane, plane + height_ * width_, target, convert);
    return;
  }
  const auto [rows, columns] = placement;
  for (int64_t y = 0; y < height_; ++y) {
    const bool inside = y >= rows.begin && y < rows.end;
    const AxisMap& map = inside ? columns : AxisMap{width_, width_, 1, 0};
    const Stored* row = plane + (inside ? rows.offset + rows.step * y : 0) * stored_.row;
    write_row(row, stored_.pixel, map, width_, convert, empty, target + y * input_.row, input_.pixel);
  }
}

template <class Convert>
void SampleWriter::write_noise(const ImageChange& change, std::vector<uint8_t>& noise, Convert convert,
                               float* target) const {
  const Rectangle& erased = change.erased;
  noise.resize(static_cast<size_t>(erased.width));
  for (int64_t channel = 0; channel < channels_; ++channel)
    for (int64_t y = erased.top; y < erased.top + erased.height; ++y) {
      erasing_noise(change.noise_seed, (channel * height_ + y) * width_ + erased.left, noise);
      float* row = target + channel * input_.channel + y * input_.row + erased.left * input_.pixel;
      for (int64_t x = 0; x < erased.width; ++x)
        row[x * input_.pixel] = convert(channel, noise[static_cast<size_t>(x)]);
    }
}

// Luma of ITU-R BT.601 for three channels, as Pillow's and torchvision's grey.
template <class Stored>
double SampleWriter::mean_grey(const Stored* image, double brightness, double highest) const {
  constexpr std::array<double, 3> luma{0.299, 0.587, 0.114};
  double sum = 0;
  for (int64_t channel = 0; channel < channels_; ++channel) {
    double plane_sum = 0;
    for (int64_t i = 0; i < height_ * width_; ++i)
      plane_sum +=
          std::min(static_cast<double>(image[channel * stored_.channel + i * stored_.pixel]) * brightness, highest);
    sum += plane_sum * (channels_ == 3 ? luma[static_cast<size_t>(channel)] : 1.0);
  }
  return sum / static_cast<double>(height_ * width_);
}

template <class Stored>
void SampleWriter::write_image(const Stored* image, const ImageChange& change, float* target) const {
  constexpr bool bytes = std::is_same_v<Stored, uint8_t>;
  const bool coloured = change.brightness != 1 || change.contrast != 1;
  Colour colour{change.brightness, change.contrast, 0, bytes ? 255.0 : std::numeric_limits<double>::infinity()};
  if (coloured) colour.grey = mean_grey(image, colour.brightness, colour.highest);
  for (int64_t channel = 0; channel < channels_; ++channel) {
    const auto normal = [this, channel](float value) { return normalizer_(channel, value); };
    const auto changed = [&](Stored value) { return normal(static_cast<float>(colour(static_cast<double>(value)))); };
    const auto write = [&](auto convert) {
      write_plane(image + channel * stored_.channel, change.placement, convert, normal(0),
                  target + channel * input_.channel);
    };
    if constexpr (bytes) {
      Normalizer::Table own;
      if (coloured)
        for (size_t value = 0; value < own.size(); ++value) own[value] = changed(static_cast<uint8_t>(value));
      const float* table = coloured ? own.data() : normalizer_.table(channel).data();
      write([table](uint8_t value) { return table[value]; });
    } else if (coloured) {
      write(changed);
    } else {
      write(normal);
    }
  }
}

void SampleWriter::write(int64_t epoch, int64_t index, Scratch& scratch, float* target) const {
  const ImageChange change = draw_change(augmentations_, height_, width_, seed_, epoch, index);
  const std::byte* stored = dataset_.stored(field_, index, scratch.stored);
  if (type_ == DType::uint8) {
    write_image(reinterpret_cast<const uint8_t*>(stored), change, target);
    write_noise(
        change, scratch.noise, [this](int64_t channel, uint8_t noise) { return normalizer_.table(channel)[noise]; },
        target);
    return;
  }
  scratch.values.resize(static_cast<size_t>(sample_elements()));
  to_floats(type_, stored, sample_elements(), scratch.values.data());
  write_image(scratch.values.data(), change, target);
  if (change.erased.height == 0) return;
  const auto [lowest, highest] = std::minmax_element(scratch.values.begin(), scratch.values.end());
  const float low = *lowest, range = *highest - *lowest;
  write_noise(
      change, scratch.noise,
      [&](int64_t channel, uint8_t noise) {
        return normalizer_(channel, low + range * static_cast<float>(noise) / 255.0f);
      },
      target);
}

}  // namespace pare
