#include "src/data/preprocess.hpp"

#include <cmath>
#include <string_view>

#include "src/core/error.hpp"

namespace pare {
namespace {

double value_of_channel(const std::vector<double>& values, size_t channel, double otherwise) {
  if (values.empty()) return otherwise;
  return values.size() == 1 ? values[0] : values[channel];
}

void check_values(std::string_view option, const std::vector<double>& values, size_t channels,
                  const Shape& sample_shape) {
  if (values.size() > 1 && values.size() != channels)
    fail_usage("{}: does not fit samples of {} (got {} values, expected {})", option, shape_text(sample_shape),
               values.size(), channels == 1 ? "1" : fmt::format("1 or {}", channels));
  for (const double value : values)
    if (!std::isfinite(value)) fail_usage("{}: is not a number (got {}, expected finite values)", option, value);
}

}  // namespace

Normalizer::Normalizer(const Preprocess& preprocess, const Shape& sample_shape, DType element_type) {
  const size_t channels = sample_shape.size() >= 2 ? static_cast<size_t>(sample_shape[0]) : 1;
  const double scale = preprocess.scale.value_or(element_type == DType::uint8 ? 1.0 / 255.0 : 1.0);
  if (!std::isfinite(scale) || scale == 0)
    fail_usage("--scale: every input would be the same (got {}, expected a finite number other than 0)", scale);
  check_values("--mean", preprocess.mean, channels, sample_shape);
  check_values("--std", preprocess.std, channels, sample_shape);
  for (const double value : preprocess.std)
    if (value == 0) fail_usage("--std: divides by zero (got 0, expected another number)");
  for (size_t channel = 0; channel < channels; ++channel)
    constants_.push_back(
        {scale, value_of_channel(preprocess.mean, channel, 0), value_of_channel(preprocess.std, channel, 1)});
  if (element_type != DType::uint8) return;
  tables_.resize(channels);
  for (size_t channel = 0; channel < channels; ++channel)
    for (size_t stored = 0; stored < 256; ++stored)
      tables_[channel][stored] = (*this)(static_cast<int64_t>(channel), static_cast<float>(stored));
}

}  // namespace pare
