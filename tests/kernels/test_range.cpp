#include <algorithm>
#include <map>

#include "kernels/range.hpp"
#include "src/core/error.hpp"
#include "tests/support/twin_cases.hpp"

namespace pare::test {
namespace {

using kernels::FloatType;
using kernels::Histogram;
using kernels::Observed;
using kernels::ValueRange;

// A struct on a device; TwinBuffer needs vectors.
template <class State>
class TwinState {
 public:
  explicit TwinState(TwinDevice& device) : device_(device), data_(device.allocate(sizeof(State))) {
    const State empty;
    device_.copy_in(data_, &empty, sizeof empty);
  }
  ~TwinState() { device_.release(data_); }
  TwinState(const TwinState&) = delete;
  TwinState& operator=(const TwinState&) = delete;
  State* get() const { return static_cast<State*>(data_); }
  State read() const {
    State state;
    device_.copy_out(&state, data_, sizeof state);
    return state;
  }

 private:
  TwinDevice& device_;
  void* data_;
};

Observed observed(const TwinBuffer<float>& values) { return {values.get(), FloatType::fp32, values.size()}; }

// The definition in double: the smallest exponent that covers the range, and the count of every bin.
void check_histogram(const Histogram& histogram, const std::vector<float>& values) {
  double low = INFINITY, high = -INFINITY;
  unsigned long long non_finite = 0;
  for (const float value : values) {
    if (!std::isfinite(value)) {
      ++non_finite;
      continue;
    }
    low = std::min(low, double{value});
    high = std::max(high, double{value});
  }
  CHECK(histogram.range.non_finite == non_finite);
  REQUIRE(histogram.range.empty() == (low > high));
  if (low > high) return;
  CHECK(double{histogram.range.minimum()} == low);
  CHECK(double{histogram.range.maximum()} == high);

  const double largest = std::max(std::fabs(low), std::fabs(high));
  int exponent = largest == 0 ? -126 : std::max(-126, static_cast<int>(std::floor(std::log2(largest))) - 20);
  while (std::floor(std::ldexp(high, -exponent)) - std::floor(std::ldexp(low, -exponent)) >= kernels::histogram_bins)
    ++exponent;
  CHECK(histogram.exponent == exponent);
  CHECK(static_cast<double>(histogram.first) == std::floor(std::ldexp(low, -exponent)));

  std::map<int64_t, unsigned long long> expected;
  for (const float value : values)
    if (std::isfinite(value)) ++expected[static_cast<int64_t>(std::floor(std::ldexp(double{value}, -exponent)))];
  int wrong = 0;
  for (int64_t bin = 0; bin < kernels::histogram_bins; ++bin) {
    const auto found = expected.find(histogram.first + bin);
    wrong += histogram.counts[bin] != (found == expected.end() ? 0 : found->second) ? 1 : 0;
  }
  CHECK(wrong == 0);
}

std::vector<float> concat(std::vector<float> a, const std::vector<float>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

TEST_CASE("range: bounds and histogram of every size, value kind and alignment follow the definition") {
  on_every_device([](TwinDevice& device) {
    for (const Values kind : all_values) {
      for (const int64_t size : sizes_for(device)) {
        if (size == large_size && kind != Values::positive) continue;
        INFO("values " << static_cast<int>(kind) << ", size " << size);
        const TwinBuffer<float> values(device, make_values(kind, size, 1), static_cast<size_t>(size % 4));
        const TwinState<Histogram> histogram(device);
        observe_histogram(device.device(), observed(values), histogram.get());
        check_histogram(histogram.read(), values.initial());
        const TwinState<ValueRange> range(device);
        observe_range(device.device(), observed(values), range.get());
        const ValueRange expected = histogram.read().range, got = range.read();
        CHECK(got.lowest == expected.lowest);
        CHECK(got.highest == expected.highest);
        CHECK(got.non_finite == expected.non_finite);
      }
    }
  });
}

TEST_CASE("range: a histogram that widens call by call is the histogram of all values at once") {
  on_every_device([](TwinDevice& device) {
    const std::vector<std::vector<float>> calls = {{NAN, INFINITY},
                                                   {0.001f},
                                                   make_values(Values::zero, 100, 1),
                                                   make_values(Values::normal, 5000, 2),
                                                   {-3.5e4f, 17.0f, -1e-20f},
                                                   {3.4028235e38f},
                                                   make_values(Values::wide, 1023, 3),
                                                   {}};
    const TwinState<Histogram> forward(device), backward(device);
    std::vector<float> all;
    for (size_t c = 0; c < calls.size(); ++c) {
      const TwinBuffer<float> values(device, calls[c]);
      observe_histogram(device.device(), observed(values), forward.get());
      all = concat(all, calls[c]);
      check_histogram(forward.read(), all);
      const TwinBuffer<float> other(device, calls[calls.size() - 1 - c]);
      observe_histogram(device.device(), observed(other), backward.get());
    }
    check_histogram(backward.read(), all);
  });
}

TEST_CASE("range: 16-bit values are observed as what they mean") {
  on_every_device([](TwinDevice& device) {
    std::vector<uint16_t> bits(3001);
    for (size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<uint16_t>(i * 37 % 31000);
    for (const FloatType type : {FloatType::bf16, FloatType::fp16}) {
      std::vector<float> widened;
      for (const uint16_t b : bits)
        widened.push_back(type == FloatType::bf16 ? kernels::bf16_to_float(b) : kernels::fp16_to_float(b));
      for (const size_t shift : {0, 3}) {
        const TwinBuffer<uint16_t> values(device, bits, shift);
        const TwinState<Histogram> histogram(device);
        observe_histogram(device.device(), {values.get(), type, values.size()}, histogram.get());
        check_histogram(histogram.read(), widened);
      }
    }
  });
}

TEST_CASE("range: the largest magnitude of each channel, for any place of the channel axis, over calls") {
  on_every_device([](TwinDevice& device) {
    const std::vector<std::vector<int64_t>> shapes = {{1, 1, 1},  {3, 5, 1},    {200, 33, 1}, {4, 7, 31},
                                                      {4, 7, 32}, {2, 3, 1500}, {9, 1, 4},    {0, 4, 4}};
    for (const auto& shape : shapes) {
      const int64_t outer = shape[0], channels = shape[1], inner = shape[2];
      INFO(outer << " x " << channels << " x " << inner);
      const TwinBuffer<float> absmax(device, std::vector<float>(static_cast<size_t>(channels), 0.0f));
      std::vector<float> expected(static_cast<size_t>(channels), 0.0f);
      for (const uint64_t call : {1, 2}) {
        const TwinBuffer<float> values(device, make_values(Values::infinite, outer * channels * inner, call), 1);
        for (size_t i = 0; i < values.initial().size(); ++i) {
          float& largest = expected[i / static_cast<size_t>(inner) % static_cast<size_t>(channels)];
          largest = std::max(largest, std::fabs(values.initial()[i]));
        }
        observe_channel_absmax(device.device(), observed(values), channels, inner, absmax.get());
      }
      check_same_bytes(absmax.read(), expected);
    }
  });
}

TEST_CASE("range: a NaN makes its channel NaN, and stays") {
  on_every_device([](TwinDevice& device) {
    for (const int64_t inner : {1, 40}) {
      std::vector<float> with_nan(static_cast<size_t>(3 * inner), 1.0f);
      with_nan[static_cast<size_t>(2 * inner - 1)] = -NAN;
      const TwinBuffer<float> values(device, with_nan), ones(device, std::vector<float>(with_nan.size(), INFINITY));
      const TwinBuffer<float> absmax(device, {0.0f, 0.0f, 0.0f});
      observe_channel_absmax(device.device(), observed(values), 3, inner, absmax.get());
      CHECK(absmax.read()[0] == 1.0f);
      CHECK(std::isnan(absmax.read()[1]));
      observe_channel_absmax(device.device(), observed(ones), 3, inner, absmax.get());
      CHECK(std::isnan(absmax.read()[1]));
      CHECK(absmax.read()[2] == INFINITY);
    }
  });
}

TEST_CASE("range: channels that do not divide the tensor are refused") {
  on_every_device([](TwinDevice& device) {
    const TwinBuffer<float> values(device, std::vector<float>(10));
    CHECK_THROWS_AS(observe_channel_absmax(device.device(), observed(values), 3, 1, values.get()), Error);
    CHECK_THROWS_AS(observe_channel_absmax(device.device(), observed(values), 0, 1, values.get()), Error);
    CHECK_THROWS_AS(observe_range(device.device(), observed(values), nullptr), Error);
  });
}

}  // namespace pare::test
