#include "kernels/compare_twins.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "kernels/bitmask.hpp"
#include "kernels/block_mask.hpp"
#include "kernels/fake_quant.hpp"
#include "kernels/mask.hpp"
#include "kernels/nm_mask.hpp"
#include "kernels/quantize.hpp"
#include "kernels/range.hpp"
#include "kernels/score.hpp"
#include "kernels/threshold.hpp"
#include "src/core/random.hpp"

namespace pare::kernels {
namespace {

class HostMemory : public DeviceMemory {
 public:
  void* allocate(size_t bytes) override { return std::aligned_alloc(256, (bytes + 255) / 256 * 256); }
  void release(void* data) override { std::free(data); }
  void copy_in(void* to, const void* from_host, size_t bytes) override { memcpy(to, from_host, bytes); }
  void copy_out(void* to_host, const void* from, size_t bytes) override { memcpy(to_host, from, bytes); }
};

// One run of a case on one device: its buffers, and the bytes of its results.
class Run {
 public:
  Run(Device device, DeviceMemory& memory, int64_t size) : device(device), size(size), memory_(memory) {}
  ~Run() {
    for (void* data : buffers_) memory_.release(data);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  const Device device;
  const int64_t size;
  std::vector<uint8_t> results;

  // A copy of `values` on the device, one element past a 256-byte boundary where `size` is odd.
  template <class T>
  T* buffer(const std::vector<T>& values) {
    const size_t bytes = values.size() * sizeof(T), offset = size % 2 == 0 ? 0 : sizeof(T);
    void* data = memory_.allocate(bytes + offset + 1);
    buffers_.push_back(data);
    T* first = reinterpret_cast<T*>(static_cast<char*>(data) + offset);
    if (bytes > 0) memory_.copy_in(first, values.data(), bytes);
    return first;
  }

  template <class T>
  T* zeros(int64_t count) {
    return buffer(std::vector<T>(static_cast<size_t>(count)));
  }

  // The same normal values in every run, of which one in `zero_every` is zero (0: none).
  float* normal(const char* name, uint64_t zero_every = 0) { return buffer(normal_values(name, zero_every)); }

  std::vector<float> normal_values(const char* name, uint64_t zero_every = 0) const {
    const RandomKey key{0, random_stream(name)};
    std::vector<float> values(static_cast<size_t>(size));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = zero_every != 0 && random_u64(key, i, 1) % zero_every == 0 ? 0.0f : random_normal(key, i);
    return values;
  }

  std::vector<uint8_t> byte_values(const char* name, uint64_t bound) const {
    const RandomKey key{0, random_stream(name)};
    std::vector<uint8_t> values(static_cast<size_t>(size));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<uint8_t>(random_u64(key, i) % bound);
    return values;
  }

  template <class T>
  void result(const T* data, int64_t count) {
    const size_t begin = results.size(), bytes = static_cast<size_t>(count) * sizeof(T);
    results.resize(begin + bytes);
    if (bytes > 0) memory_.copy_out(results.data() + begin, data, bytes);
  }

  template <class T>
  void result_value(const T& value) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
    results.insert(results.end(), bytes, bytes + sizeof value);
  }

 private:
  DeviceMemory& memory_;
  std::vector<void*> buffers_;
};

void run_scores(Run& run) {
  const float* weight = run.normal("weight");
  const std::vector<float> values = run.normal_values("gradient");
  std::vector<uint16_t> halves(values.size());  // finite as bf16 and as fp16
  for (size_t i = 0; i < values.size(); ++i) halves[i] = static_cast<uint16_t>(float_bits(values[i]) >> 16 & 0xbfffu);
  const float* gradient = run.buffer(values);
  const uint16_t* half_gradient = run.buffer(halves);
  for (const Importance importance :
       {Importance::magnitude, Importance::taylor, Importance::fisher, Importance::snip, Importance::movement})
    for (const FloatType type : {FloatType::fp32, FloatType::bf16, FloatType::fp16}) {
      float* score = run.normal("score");
      float* found_inf = run.zeros<float>(1);
      const void* gradients = type == FloatType::fp32 ? static_cast<const void*>(gradient) : half_gradient;
      const ScoreTensor tensor{weight, gradients, type, score, run.size};
      accumulate_scores(run.device, {importance, Accumulate::average, 0.9f, 0x1p-10f, true}, {&tensor, 1}, found_inf);
      run.result(score, run.size);
      run.result(found_inf, 1);
    }
}

void run_threshold(Run& run) {
  const std::array<ScoreView, 2> scores = {{{run.normal("first"), run.size}, {run.normal("sparse", 2), run.size}}};
  for (const int64_t k : {run.size / 3, run.size, 2 * run.size - run.size / 5}) {
    const Selection selection = select_smallest(run.device, scores, k);
    run.result_value(selection.threshold);
    run.result_value(selection.cut_index);
  }
}

void run_masks(Run& run) {
  const float* score = run.normal("score", 3);
  uint8_t* mask = run.zeros<uint8_t>(run.size);
  float* weight = run.normal("weight");
  float* moment = run.normal("moment");
  const ScoreMask score_mask{score, mask, run.size};
  write_masks(run.device, {&score_mask, 1}, {0.0f, run.size / 2, run.size});
  const MaskedTensor masked{mask, {weight, moment}, run.size};
  apply_masks(run.device, {&masked, 1});
  run.result(mask, run.size);
  run.result(weight, run.size);
  run.result(moment, run.size);
}

void run_nm_masks(Run& run) {
  const float* score = run.normal("score", 5);
  uint8_t* mask = run.zeros<uint8_t>(run.size);
  for (const auto& [n, m] : {std::pair{2, 4}, {1, 4}, {3, 32}}) {
    write_nm_masks(run.device, score, {1, run.size, 1}, n, m, mask);
    run.result(mask, run.size);
    write_nm_masks(run.device, score, {1, run.size / 3, 3}, n, m, mask);
    run.result(mask, run.size / 3 * 3);
  }
}

void run_block_masks(Run& run) {
  const int64_t columns = run.size < 64 ? 1 : 61;
  const BlockGrid grid{run.size / columns, columns, 8, 4};
  const int64_t blocks = grid.down() * grid.across();
  const std::vector<uint8_t> kept = run.byte_values("kept", 2);
  float* block_score = run.zeros<float>(blocks);
  uint8_t* mask = run.zeros<uint8_t>(run.size);
  score_blocks(run.device, run.normal("score"), grid, block_score);
  spread_block_mask(run.device, run.buffer(std::vector<uint8_t>(kept.begin(), kept.begin() + blocks)), grid, mask);
  run.result(block_score, blocks);
  run.result(mask, grid.rows * grid.columns);
}

void run_ranges(Run& run) {
  const Observed observed{run.normal("values"), FloatType::fp32, run.size};
  ValueRange* range = run.buffer(std::vector<ValueRange>(1));
  Histogram* histogram = run.buffer(std::vector<Histogram>(1));
  observe_range(run.device, observed, range);
  observe_histogram(run.device, observed, histogram);
  run.result(range, 1);
  run.result(histogram->counts, histogram_bins);
  const int64_t channels = run.size < 64 ? 1 : 61, inner = run.size / channels;
  float* absmax = run.zeros<float>(channels);
  observe_channel_absmax(run.device, {observed.values, FloatType::fp32, channels * inner}, channels, inner, absmax);
  run.result(absmax, channels);
}

void run_quantization(Run& run) {
  const float* values = run.normal("values");
  uint8_t* quantized = run.zeros<uint8_t>(run.size);
  float* restored = run.zeros<float>(run.size);
  for (const IntegerType type : {IntegerType::int8, IntegerType::uint8, IntegerType::int4, IntegerType::uint4})
    for (const int64_t block : {run.size, int64_t{32}}) {
      const ScaleLayout layout{{1, run.size, 1}, block, false, false};
      const std::vector<float> scales(static_cast<size_t>(layout.blocks()), 0.037f);
      const std::vector<uint8_t> zeros(scales.size(), 3);
      const float* scale = run.buffer(scales);
      const uint8_t* zero_point = run.buffer(zeros);
      quantize(run.device, values, layout, scale, zero_point, type, quantized);
      dequantize(run.device, quantized, layout, scale, zero_point, type, restored);
      run.result(quantized, run.size);
      run.result(restored, run.size);
    }
  const uint8_t* integers = run.buffer(run.byte_values("integers", 16));
  uint8_t* packed = run.zeros<uint8_t>((run.size + 1) / 2);
  pack_nibbles(run.device, integers, run.size, packed);
  unpack_nibbles(run.device, packed, run.size, IntegerType::int4, quantized);
  run.result(packed, (run.size + 1) / 2);
  run.result(quantized, run.size);
}

void run_fake_quantization(Run& run) {
  const float* values = run.normal("values");
  const float* gradient = run.normal("gradient");
  float* result = run.zeros<float>(run.size);
  float* input_gradient = run.zeros<float>(run.size);
  const int64_t channels = run.size < 64 ? 1 : 61, after = run.size / channels;
  const std::vector<float> scales(static_cast<size_t>(channels), 0.037f), zeros(scales.size(), -2.6f);
  const float* scale = run.buffer(scales);
  const float* zero_points = run.buffer(zeros);
  float* scale_gradient = run.zeros<float>(channels);
  float* zero_gradient = run.zeros<float>(channels);
  for (const AxisView view : {AxisView{1, 1, run.size}, AxisView{1, channels, after}, AxisView{after, channels, 1}})
    for (const float* learned : {static_cast<const float*>(nullptr), zero_points}) {
      const FakeQuant quant{values, FloatType::fp32, view, scale, learned, -3, -8, 7};
      fake_quantize(run.device, quant, result);
      fake_quantize_backward(run.device, quant, gradient, 0.01f, input_gradient, scale_gradient, zero_gradient);
      run.result(result, quant.size());
      run.result(input_gradient, quant.size());
      run.result(scale_gradient, view.length);
      run.result(zero_gradient, view.length);
    }
}

void run_bitmasks(Run& run) {
  const float* values = run.normal("values", 2);
  const uint8_t* mask = run.buffer(run.byte_values("mask", 2));
  const int64_t bytes = bitmask_bytes(run.size);
  uint8_t* bits = run.zeros<uint8_t>(bytes);
  uint8_t* unpacked = run.zeros<uint8_t>(run.size);
  float* kept = run.zeros<float>(run.size);
  float* restored = run.zeros<float>(run.size);
  pack_bits(run.device, mask, run.size, bits);
  unpack_bits(run.device, bits, run.size, unpacked);
  run.result(bits, bytes);
  run.result(unpacked, run.size);
  nonzero_bits(run.device, values, 4, run.size, bits);
  const int64_t count = gather_kept(run.device, values, 4, run.size, bits, kept);
  scatter_kept(run.device, kept, 4, run.size, bits, restored);
  run.result_value(count);
  run.result_value(count_bits(run.device, bits, run.size));
  run.result(kept, count);
  run.result(restored, run.size);
}

struct Case {
  const char* kernel;
  void (*run)(Run& run);
};

constexpr std::array cases = {
    Case{"score", run_scores},          Case{"threshold", run_threshold},    Case{"mask", run_masks},
    Case{"nm_mask", run_nm_masks},      Case{"block_mask", run_block_masks}, Case{"range", run_ranges},
    Case{"quantize", run_quantization}, Case{"bitmask", run_bitmasks},       Case{"fake_quant", run_fake_quantization},
};

// "" or where the first difference is.
std::string difference(const std::vector<uint8_t>& got, const std::vector<uint8_t>& expected) {
  if (got.size() != expected.size()) return fmt::format("{} bytes, expected {}", got.size(), expected.size());
  const auto [first, other] = std::mismatch(got.begin(), got.end(), expected.begin());
  if (first == got.end()) return "";
  return fmt::format("byte {} of {} is {}, expected {}", first - got.begin(), got.size(), *first, *other);
}

}  // namespace

std::vector<TwinComparison> compare_twins(Device device, DeviceMemory& memory, std::span<const int64_t> sizes) {
  HostMemory host;
  std::vector<TwinComparison> rows;
  for (const Case& one : cases) {
    TwinComparison row{one.kernel, 0, ""};
    for (const int64_t size : sizes) {
      if (!row.first_difference.empty()) break;
      std::string problem;
      try {
        Run expected(Device{}, host, size), got(device, memory, size);
        one.run(expected);
        one.run(got);
        problem = difference(got.results, expected.results);
        row.compared += static_cast<int64_t>(expected.results.size());
      } catch (const std::exception& error) {
        problem = error.what();
      }
      if (!problem.empty()) row.first_difference = fmt::format("{} elements: {}", size, problem);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace pare::kernels
