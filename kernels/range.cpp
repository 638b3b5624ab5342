#include "kernels/range.hpp"

#include <mutex>

#include "kernels/blocks.hpp"
#include "kernels/range_math.hpp"

namespace pare::kernels {
namespace {

constexpr int64_t tile_elements = 1024;
constexpr int64_t lanes =
    4;  // neighbours count in different histograms: equal values (the zeros of a ReLU) do not wait
constexpr int64_t lane_stride = histogram_bins + 16;
constexpr int64_t most_between_merges = int64_t{1} << 30;  // elements that 32-bit counters can take

PARE_SIMD void widen_range(const uint16_t* values, FloatType type, int64_t count, float* out) {
  if (type == FloatType::bf16) {
    for (int64_t i = 0; i < count; ++i) out[i] = bf16_to_float(values[i]);
  } else {
    for (int64_t i = 0; i < count; ++i) out[i] = fp16_to_float(values[i]);
  }
}

// Elements [begin, end) as fp32, in `buffer` unless they are fp32 already.
const float* widen(const Observed& observed, int64_t begin, int64_t end, float* buffer) {
  if (observed.type == FloatType::fp32) return static_cast<const float*>(observed.values) + begin;
  widen_range(static_cast<const uint16_t*>(observed.values) + begin, observed.type, end - begin, buffer);
  return buffer;
}

PARE_SIMD ValueRange range_of(const float* values, int64_t count) {
  uint32_t lowest = 0xffffffffu, highest = 0, non_finite = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t key = ordered_key(values[i]);
    const uint32_t finite = is_finite(values[i]) ? 0xffffffffu : 0u;
    const uint32_t low = key | ~finite, high = key & finite;
    lowest = low < lowest ? low : lowest;
    highest = high > highest ? high : highest;
    non_finite += ~finite & 1u;
  }
  return {lowest, highest, non_finite};
}

// bins[i] = bin of values[i], or histogram_bins where it is not finite.
PARE_SIMD void bin_range(const float* values, int64_t count, float width, float inverse_width, int32_t first,
                         int32_t* bins) {
  for (int64_t i = 0; i < count; ++i) {
    const int32_t finite = is_finite(values[i]) ? -1 : 0;
    const float value = bits_float(float_bits(values[i]) & static_cast<uint32_t>(finite));
    bins[i] = ((grid_index(value, width, inverse_width) - first) & finite) | (histogram_bins & ~finite);
  }
}

// The same of values that are all finite.
PARE_SIMD void bin_finite_range(const float* values, int64_t count, float width, float inverse_width, int32_t first,
                                int32_t* bins) {
  for (int64_t i = 0; i < count; ++i) bins[i] = grid_index(values[i], width, inverse_width) - first;
}

PARE_SIMD uint32_t absmax_range(const float* values, int64_t count) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, float_bits(values[i]) & 0x7fffffffu);
  return largest;
}

PARE_SIMD void column_absmax_range(const float* values, int64_t count, uint32_t* largest) {
  for (int64_t i = 0; i < count; ++i) largest[i] = std::max(largest[i], float_bits(values[i]) & 0x7fffffffu);
}

void merge(const ValueRange& part, ValueRange& total) {
  total.lowest = std::min(total.lowest, part.lowest);
  total.highest = std::max(total.highest, part.highest);
  total.non_finite += part.non_finite;
}

// Calls body(values, count) on fp32 tiles of [begin, end).
template <class Body>
void for_each_tile(const Observed& observed, int64_t begin, int64_t end, const Body& body) {
  float buffer[tile_elements];
  for (int64_t i = begin; i < end; i += tile_elements) {
    const int64_t count = std::min(tile_elements, end - i);
    body(widen(observed, i, i + count, buffer), count);
  }
}

// Whether all values of the range have a bin.
bool covers(const Histogram& histogram, const ValueRange& range) {
  const double width = power_of_two(histogram.exponent);
  return range.empty() || (range.minimum() >= static_cast<double>(histogram.first) * width &&
                           range.maximum() < static_cast<double>(histogram.first + histogram_bins) * width);
}

// Counts of one thread, on the grid of a histogram.
class Counters {
 public:
  explicit Counters(const Histogram& grid)
      : width_(power_of_two(grid.exponent)),
        inverse_width_(power_of_two(-grid.exponent)),
        first_(static_cast<int32_t>(grid.first)) {}

  // At most tile_elements values that the grid covers.
  void add(const float* values, int64_t count, bool finite) {
    int32_t bins[tile_elements];
    (finite ? bin_finite_range : bin_range)(values, count, width_, inverse_width_, first_, bins);
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes)
      for (int64_t lane = 0; lane < lanes; ++lane) ++counts_[lane * lane_stride + bins[i + lane]];
    for (; i < count; ++i) ++counts_[bins[i]];
  }

  void add_to(Histogram& histogram) const {
    for (int64_t lane = 0; lane < lanes; ++lane)
      for (int64_t bin = 0; bin < histogram_bins; ++bin) histogram.counts[bin] += counts_[lane * lane_stride + bin];
  }

 private:
  uint32_t counts_[lanes * lane_stride] = {};
  float width_, inverse_width_;
  int32_t first_;
};

struct Part {
  int64_t begin, end;  // elements
};

// Counts what the grid covers, in one pass over the values, with their range where it is not known yet; returns the
// parts that have other values and are not counted.
std::vector<Part> count_covered(const Observed& observed, const Part& whole, bool add_range, Histogram* histogram) {
  std::mutex mutex;
  std::vector<Part> rest;
  parallel_for(whole.begin, whole.end, block_elements, [&](int64_t begin, int64_t end) {
    for (int64_t start = begin; start < end; start += most_between_merges) {
      const Part part{start, std::min(end, start + most_between_merges)};
      Counters counters(*histogram);
      ValueRange range;
      bool covered = true;
      for_each_tile(observed, part.begin, part.end, [&](const float* values, int64_t count) {
        const ValueRange tile = range_of(values, count);
        merge(tile, range);
        covered = covered && covers(*histogram, tile);
        if (covered) counters.add(values, count, tile.non_finite == 0);
      });
      const std::lock_guard lock(mutex);
      if (add_range) merge(range, histogram->range);
      if (covered) counters.add_to(*histogram);
      else rest.push_back(part);
    }
  });
  return rest;
}

void widen_histogram(Histogram& histogram, BinGrid grid) {
  if (histogram.exponent == grid.exponent && histogram.first == grid.first) return;
  unsigned long long counts[histogram_bins] = {};
  for (int64_t i = 0; i < histogram_bins; ++i)
    if (histogram.counts[i] != 0) counts[widened_bin(histogram, i, grid)] += histogram.counts[i];
  std::copy(counts, counts + histogram_bins, histogram.counts);
  histogram.exponent = grid.exponent;
  histogram.first = grid.first;
}

void check(const char* function, const Observed& observed, const void* state) {
  check_tensor(function, 0, observed.size, observed.values, "values");
  if (state == nullptr) fail_run("{}: no place for the result (got null)", function);
}

}  // namespace

void observe_range(Device device, const Observed& observed, ValueRange* range) {
  check("observe_range", observed, range);
  device.cuda ? cuda::observe_range(device.stream, observed, range) : cpu::observe_range(observed, range);
}

void observe_histogram(Device device, const Observed& observed, Histogram* histogram) {
  check("observe_histogram", observed, histogram);
  device.cuda ? cuda::observe_histogram(device.stream, observed, histogram)
              : cpu::observe_histogram(observed, histogram);
}

void observe_channel_absmax(Device device, const Observed& observed, int64_t channels, int64_t inner, float* absmax) {
  check("observe_channel_absmax", observed, absmax);
  if (channels < 1 || inner < 1 || observed.size % (channels * inner) != 0)
    fail_run("observe_channel_absmax: sizes do not fit (got {} elements, {} channels of {})", observed.size, channels,
             inner);
  if (observed.size == 0) return;
  device.cuda ? cuda::observe_channel_absmax(device.stream, observed, channels, inner, absmax)
              : cpu::observe_channel_absmax(observed, channels, inner, absmax);
}

namespace cpu {

void observe_range(const Observed& observed, ValueRange* range) {
  std::mutex mutex;
  parallel_for(0, observed.size, block_elements, [&](int64_t begin, int64_t end) {
    ValueRange part;
    for_each_tile(observed, begin, end,
                  [&](const float* values, int64_t count) { merge(range_of(values, count), part); });
    const std::lock_guard lock(mutex);
    merge(part, *range);
  });
}

void observe_histogram(const Observed& observed, Histogram* histogram) {
  std::vector<Part> rest = {{0, observed.size}};
  if (histogram->range.empty()) observe_range(observed, &histogram->range);
  else rest = count_covered(observed, rest.front(), true, histogram);
  if (histogram->range.empty()) return;
  widen_histogram(*histogram, grid_of(histogram->range));
  for (const Part& part : rest) count_covered(observed, part, false, histogram);
}

void observe_channel_absmax(const Observed& observed, int64_t channels, int64_t inner, float* absmax) {
  std::mutex mutex;
  const auto raise = [&](int64_t channel, uint32_t bits) {
    absmax[channel] = bits_float(std::max(float_bits(absmax[channel]), bits));
  };
  if (inner == 1) {  // rows of `channels` neighbours
    const int64_t rows = observed.size / channels;
    parallel_for(0, rows, std::max<int64_t>(1, block_elements / channels), [&](int64_t begin, int64_t end) {
      std::vector<uint32_t> largest(static_cast<size_t>(channels));
      std::vector<float> buffer(static_cast<size_t>(channels));
      for (int64_t row = begin; row < end; ++row)
        column_absmax_range(widen(observed, row * channels, (row + 1) * channels, buffer.data()), channels,
                            largest.data());
      const std::lock_guard lock(mutex);
      for (int64_t channel = 0; channel < channels; ++channel) raise(channel, largest[static_cast<size_t>(channel)]);
    });
    return;
  }
  parallel_for(0, observed.size / inner, std::max<int64_t>(1, block_elements / inner), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      uint32_t largest = 0;
      for_each_tile(observed, row * inner, (row + 1) * inner, [&](const float* values, int64_t count) {
        largest = std::max(largest, absmax_range(values, count));
      });
      const std::lock_guard lock(mutex);
      raise(row % channels, largest);
    }
  });
}

}  // namespace cpu
}  // namespace pare::kernels
