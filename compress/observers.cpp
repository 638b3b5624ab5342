#include "compress/observers.hpp"

#include <algorithm>
#include <array>
#include <cfloat>
#include <charconv>
#include <cmath>
#include <numeric>
#include <vector>

#include "src/core/error.hpp"

namespace pare {
namespace {

using kernels::Histogram;
using kernels::histogram_bins;

double bin_width(const Histogram& histogram) { return std::ldexp(1.0, histogram.exponent); }

ObservedRange with_zero(double low, double high) {
  return {static_cast<float>(std::min(low, 0.0)), static_cast<float>(std::max(high, 0.0))};
}

ObservedRange whole_range(const Histogram& histogram) {
  return with_zero(histogram.range.minimum(), histogram.range.maximum());
}

ObservedRange percentile_range(const Histogram& histogram, double percentile) {
  const double total = std::accumulate(std::begin(histogram.counts), std::end(histogram.counts), 0.0);
  const double outside = total * (1 - percentile / 100) / 2;
  int first = 0, last = histogram_bins - 1;
  for (double seen = static_cast<double>(histogram.counts[first]); seen <= outside && first < last;)
    seen += static_cast<double>(histogram.counts[++first]);
  for (double seen = static_cast<double>(histogram.counts[last]); seen <= outside && last > first;)
    seen += static_cast<double>(histogram.counts[--last]);
  const ObservedRange all = whole_range(histogram);
  const double width = bin_width(histogram);
  const ObservedRange cut = with_zero(static_cast<double>(histogram.first + first) * width,
                                      static_cast<double>(histogram.first + last + 1) * width);
  return {std::max(all.low, cut.low), std::min(all.high, cut.high)};
}

// Squared errors, summed over the histogram, of values that are limited to a range and rounded to its grid. Errors of
// rounding are taken as spread evenly over a step, which holds for bins narrower than one.
class SquaredErrors {
 public:
  explicit SquaredErrors(const Histogram& histogram) : histogram_(histogram) {
    const double width = bin_width(histogram);
    for (int bin = 0; bin < histogram_bins; ++bin) {
      const auto count = static_cast<double>(histogram.counts[bin]);
      const double value = (static_cast<double>(histogram.first + bin) + 0.5) * width;
      const auto i = static_cast<size_t>(bin);
      sums_[i + 1] = {sums_[i].count + count, sums_[i].first + count * value, sums_[i].second + count * value * value};
    }
  }

  double of(ObservedRange range, int steps) const {
    const size_t low = first_from(range.low), high = std::max(low, first_from(range.high));
    const double step = (double{range.high} - double{range.low}) / steps;
    const double rounding = (sums_[high].count - sums_[low].count) * step * step / 12;
    return rounding + clipping(sums_[0], sums_[low], range.low) + clipping(sums_[high], sums_.back(), range.high);
  }

 private:
  // Of all bins below one: the sums of 1, x and x^2 over their values, each in the middle of its bin.
  struct Moments {
    double count = 0, first = 0, second = 0;
  };

  // The first bin whose middle is not below the value.
  size_t first_from(float value) const {
    const double bin = std::ceil(double{value} / bin_width(histogram_) - 0.5) - static_cast<double>(histogram_.first);
    return static_cast<size_t>(std::clamp(bin, 0.0, double{histogram_bins}));
  }

  // The sum of (x - limit)^2 over the bins from one to another.
  static double clipping(const Moments& from, const Moments& to, double limit) {
    return (to.second - from.second) - 2 * limit * (to.first - from.first) + limit * limit * (to.count - from.count);
  }

  const Histogram& histogram_;
  std::array<Moments, histogram_bins + 1> sums_{};
};

// The best of shrunk ranges: both ends together, then each end alone, in finer steps.
ObservedRange mse_range(const Histogram& histogram, int steps, bool symmetric) {
  const ObservedRange all = whole_range(histogram);
  const SquaredErrors errors(histogram);
  ObservedRange best = all;
  double least = errors.of(best, steps);
  const auto consider = [&](double low_part, double high_part) {
    const ObservedRange range{static_cast<float>(all.low * low_part), static_cast<float>(all.high * high_part)};
    const double error = errors.of(range, steps);
    if (!(error < least)) return false;
    least = error;
    best = range;
    return true;
  };
  constexpr int coarse = 64;
  double low_part = 1, high_part = 1;
  for (int i = coarse - 1; i > 0; --i)
    if (const double part = static_cast<double>(i) / coarse; consider(part, part)) low_part = high_part = part;
  if (symmetric) return best;
  for (int round = 0; round < 2; ++round) {
    for (int i = coarse; i > 0; --i)
      if (const double part = static_cast<double>(i) / coarse; consider(low_part, part)) high_part = part;
    for (int i = coarse; i > 0; --i)
      if (const double part = static_cast<double>(i) / coarse; consider(part, high_part)) low_part = part;
  }
  return best;
}

// KL divergence of the magnitudes up to `kept` bins from the same quantized to `levels`.
double divergence(const std::vector<double>& magnitudes, size_t kept, size_t levels) {
  double outside = 0, total = 0;
  for (size_t i = kept; i < magnitudes.size(); ++i) outside += magnitudes[i];
  for (size_t i = 0; i < kept; ++i) total += magnitudes[i];
  total += outside;
  double sum = 0;
  for (size_t level = 0; level < levels; ++level) {
    const size_t begin = level * kept / levels, end = (level + 1) * kept / levels;
    double mass = 0;
    size_t occupied = 0;
    for (size_t i = begin; i < end; ++i) {
      mass += magnitudes[i];
      occupied += magnitudes[i] > 0;
    }
    for (size_t i = begin; i < end; ++i) {
      // What is outside is clipped to the last bin, of the reference only.
      const double p = magnitudes[i] + (i + 1 == kept ? outside : 0);
      if (p == 0) continue;
      const double q = magnitudes[i] > 0 ? mass / static_cast<double>(occupied) : 0;
      constexpr double least = 1e-12;
      sum += p / total * std::log((p / total) / std::max(q / std::max(total - outside, least), least));
    }
  }
  return sum;
}

ObservedRange entropy_range(const Histogram& histogram, int steps) {
  // Magnitudes in bins of the histogram's width.
  const int64_t first = histogram.first, last = histogram.first + histogram_bins - 1;
  const auto size = static_cast<size_t>(std::max(std::abs(first), std::abs(last)) + 1);
  const size_t factor = size / histogram_bins + 1;
  std::vector<double> magnitudes(size / factor + 1, 0.0);
  for (int bin = 0; bin < histogram_bins; ++bin) {
    const int64_t index = first + bin;
    const auto magnitude = static_cast<size_t>(index < 0 ? -index - 1 : index);
    magnitudes[magnitude / factor] += static_cast<double>(histogram.counts[bin]);
  }
  const ObservedRange all = whole_range(histogram);
  const bool one_sided = all.low == 0 || all.high == 0;
  const auto levels = static_cast<size_t>(one_sided ? steps + 1 : (steps + 1) / 2);
  while (magnitudes.size() > 1 && magnitudes.back() == 0) magnitudes.pop_back();
  if (magnitudes.size() <= levels) return all;
  // Zeros would decide the divergence alone where most values are zero.
  magnitudes[0] = std::min(magnitudes[0], magnitudes[1]);
  size_t best = magnitudes.size();
  double least = divergence(magnitudes, best, levels);
  const size_t stride = std::max<size_t>(1, levels / 16);
  for (size_t kept = levels; kept < magnitudes.size(); kept += stride) {
    const double here = divergence(magnitudes, kept, levels);
    if (here >= least) continue;
    least = here;
    best = kept;
  }
  const double limit = static_cast<double>(best * factor) * bin_width(histogram);
  return {static_cast<float>(std::max<double>(all.low, -limit)), static_cast<float>(std::min<double>(all.high, limit))};
}

}  // namespace

Calibration Calibration::parse(const std::string& text) {
  if (text == "minmax") return {CalibrationMethod::minmax};
  if (text == "entropy") return {CalibrationMethod::entropy};
  if (text == "mse") return {CalibrationMethod::mse};
  if (text.starts_with("percentile:")) {
    double value = 0;
    const auto [stop, error] = std::from_chars(text.data() + 11, text.data() + text.size(), value);
    if (error == std::errc() && stop == text.data() + text.size() && value > 50 && value <= 100)
      return {CalibrationMethod::percentile, value};
    fail_usage("--calibration: bad percentile (got '{}', expected above 50 and at most 100, as in percentile:99.99)",
               text);
  }
  fail_usage("--calibration: bad value (got '{}', expected minmax, percentile:P, entropy or mse)", text);
}

Histogram limited(const Histogram& histogram, float low, float high) {
  Histogram result = histogram;
  if (histogram.range.empty()) return result;
  // Zero always lies inside.
  low = std::min(low, 0.0f);
  high = std::max(high, 0.0f);
  const auto clamped = [&](float value) { return kernels::ordered_key(std::clamp(value, low, high)); };
  result.range.lowest = clamped(histogram.range.minimum());
  result.range.highest = clamped(histogram.range.maximum());
  const auto bin_of = [&](float value) {
    const double bin = std::floor(double{value} / bin_width(histogram)) - static_cast<double>(histogram.first);
    return static_cast<int>(std::clamp(bin, 0.0, double{histogram_bins - 1}));
  };
  const int first = bin_of(low), last = bin_of(high);
  for (int bin = 0; bin < histogram_bins; ++bin)
    if (const int nearest = std::clamp(bin, first, last); nearest != bin) {
      result.counts[nearest] += histogram.counts[bin];
      result.counts[bin] = 0;
    }
  return result;
}

ObservedRange choose_range(const Histogram& histogram, const Calibration& calibration, CodeForm form) {
  const int steps = (1 << form.bits) - 1;
  const ObservedRange all = whole_range(histogram);
  if (all.low == all.high || histogram.range.minimum() == histogram.range.maximum()) return all;
  switch (calibration.method) {
    case CalibrationMethod::percentile:
      return percentile_range(histogram, calibration.percentile);
    case CalibrationMethod::entropy:
      return entropy_range(histogram, steps);
    case CalibrationMethod::mse:
      return mse_range(histogram, steps, form.symmetric || form.is_signed);
    default:
      return all;
  }
}

double range_error(const Histogram& histogram, ObservedRange range, CodeForm form) {
  return SquaredErrors(histogram).of(range, (1 << form.bits) - 1);
}

ActivationCodes codes_of(ObservedRange range, bool non_negative, CodeForm form) {
  const int count = 1 << form.bits;
  ActivationCodes codes;
  codes.lowest = form.is_signed ? -count / 2 : 0;
  codes.highest = codes.lowest + count - 1;
  const bool from_zero = non_negative || range.low >= 0;
  const double low = from_zero ? 0 : range.low;
  const double high = std::max(0.0f, range.high);
  double scale = 0;
  if (form.is_signed) {
    codes.zero_point = 0;
    scale = std::max(-low, high) / codes.highest;
  } else if (from_zero) {
    codes.zero_point = codes.lowest;
    scale = high / (count - 1);
  } else if (form.symmetric) {
    codes.zero_point = count / 2;
    scale = std::max(-low / codes.zero_point, high / (codes.highest - codes.zero_point));
  } else {
    scale = (high - low) / (count - 1);
    if (scale > 0) codes.zero_point = static_cast<int>(std::clamp(std::nearbyint(-low / scale), 0.0, count - 1.0));
  }
  codes.scale = scale == 0 ? 1.0f : std::max(static_cast<float>(scale), FLT_MIN);
  return codes;
}

}  // namespace pare
