// Times every kernel on this executable's device, against a copy of the same memory.
//
//   bench_kernels [--size N] [--threads N] [--repeats N]
//
// Prints one JSON object: size, threads, device, and for each kernel the median milliseconds and the bytes it moves.
// scripts/bench_kernels.sh compares with torch; scripts/gpu_check.sh runs the same program on a GPU.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>
#include <string>

#include <nlohmann/json.hpp>

#include "kernels/bitmask.hpp"
#include "kernels/fake_quant.hpp"
#include "kernels/mask.hpp"
#include "kernels/nm_mask.hpp"
#include "kernels/quantize.hpp"
#include "kernels/range.hpp"
#include "kernels/score.hpp"
#include "kernels/threshold.hpp"
#include "src/core/threads.hpp"
#include "tests/support/twin_device.hpp"

namespace pare::test {
namespace {

struct Settings {
  int64_t size = 25'600'000;
  int threads = 2;
  int repeats = 5;
};

template <class T>
T* allocate(TwinDevice& device, int64_t count) {
  return static_cast<T*>(device.allocate(static_cast<size_t>(count) * sizeof(T)));
}

class Timer {
 public:
  Timer(TwinDevice& device, int repeats) : device_(device), repeats_(repeats) {}

  // Median time of `repeats` runs after one that warms up; on a GPU a run is ten launches in a row.
  template <class Body>
  void time(const std::string& name, double bytes, const Body& body) {
    const int launches = device_.device().cuda ? 10 : 1;
    std::vector<double> times;
    for (int repeat = 0; repeat <= repeats_; ++repeat) {
      const auto start = std::chrono::steady_clock::now();
      for (int launch = 0; launch < launches; ++launch) body();
      device_.wait();
      const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
      if (repeat > 0) times.push_back(taken.count() / launches);
    }
    std::sort(times.begin(), times.end());
    results_[name] = {{"ms", times[times.size() / 2]}, {"bytes", bytes}};
  }

  const nlohmann::ordered_json& results() const { return results_; }

 private:
  TwinDevice& device_;
  int repeats_;
  nlohmann::ordered_json results_;
};

float* allocate_normal(TwinDevice& device, int64_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(size));
  for (float& value : values) value = normal(random);
  float* data = allocate<float>(device, size);
  device.copy_in(data, values.data(), values.size() * sizeof(float));
  return data;
}

nlohmann::ordered_json run(TwinDevice& twin, const Settings& settings) {
  using namespace kernels;
  const Device device = twin.device();
  const int64_t size = settings.size / 4 * 4;
  const double n = static_cast<double>(size);
  float* weight = allocate_normal(twin, size, 1);
  float* gradient = allocate_normal(twin, size, 2);
  float* score = allocate_normal(twin, size, 3);
  float* other = allocate<float>(twin, size);
  uint8_t* mask = allocate<uint8_t>(twin, size);
  uint8_t* bits = allocate<uint8_t>(twin, bitmask_bytes(size));
  uint8_t* bytes = allocate<uint8_t>(twin, size);
  float* flag = allocate<float>(twin, 1);
  Histogram* histogram = allocate<Histogram>(twin, 1);
  const Histogram empty;
  twin.copy_in(histogram, &empty, sizeof empty);
  constexpr int64_t channels = 1000;
  float* channel_values = allocate<float>(twin, channels);
  float* scale_gradient = allocate<float>(twin, channels);
  const std::vector<float> scales(channels, 0.03f);
  twin.copy_in(channel_values, scales.data(), channels * sizeof(float));

  Timer timer(twin, settings.repeats);
  timer.time("copy", 8 * n, [&] { twin.copy(other, weight, static_cast<size_t>(size) * sizeof(float)); });

  const ScoreTensor tensor{weight, gradient, FloatType::fp32, score, size};
  ScoreStep step{Importance::taylor, Accumulate::replace, 0.9f, 1.0f, true};
  accumulate_scores(device, step, {&tensor, 1}, flag);
  step.accumulate = Accumulate::average;
  timer.time("score", 20 * n, [&] { accumulate_scores(device, step, {&tensor, 1}, flag); });
  step.check_gradients = false;
  timer.time("score_checked", 16 * n, [&] { accumulate_scores(device, step, {&tensor, 1}, flag); });

  const ScoreView view{score, size};
  Selection selection{};
  timer.time("threshold", 8 * n, [&] { selection = select_smallest(device, {&view, 1}, size / 5 * 4); });
  timer.time("nm_mask", 5 * n, [&] { write_nm_masks(device, score, {1, size, 1}, 2, 4, mask); });
  const ScoreMask score_mask{score, mask, size};
  timer.time("write_masks", 5 * n, [&] { write_masks(device, {&score_mask, 1}, selection); });
  const MaskedTensor masked{mask, {weight, gradient}, size};
  timer.time("apply_masks", 17 * n, [&] { apply_masks(device, {&masked, 1}); });
  timer.time("pack_bits", 1.125 * n, [&] { pack_bits(device, mask, size, bits); });
  timer.time("unpack_bits", 1.125 * n, [&] { unpack_bits(device, bits, size, mask); });
  // A fifth is kept: the bits twice, and its 4 bytes read and written; scattering also writes the zeros.
  timer.time("gather_kept", (0.25 + 1.6) * n, [&] { gather_kept(device, score, 4, size, bits, other); });
  timer.time("scatter_kept", (0.25 + 0.8 + 4) * n, [&] { scatter_kept(device, other, 4, size, bits, score); });

  const Observed observed{gradient, FloatType::fp32, size};
  timer.time("histogram", 8 * n, [&] { observe_histogram(device, observed, histogram); });
  const Observed rows{gradient, FloatType::fp32, size / channels * channels};
  timer.time("channel_absmax", 4 * n,
             [&] { observe_channel_absmax(device, rows, channels, size / channels, channel_values); });
  const ScaleLayout layout{{1, channels, size / channels}, 1, false, false};
  timer.time("quantize", 5 * n,
             [&] { quantize(device, gradient, layout, channel_values, nullptr, IntegerType::int4, bytes); });
  timer.time("dequantize", 5 * n,
             [&] { dequantize(device, bytes, layout, channel_values, nullptr, IntegerType::int4, other); });
  for (const bool per_channel : {false, true}) {
    const std::string name = per_channel ? "fake_quant_channel" : "fake_quant";
    const FakeQuant quant{
        gradient, FloatType::fp32, per_channel ? layout.view : AxisView{1, 1, size}, channel_values, nullptr, 0, -8, 7};
    timer.time(name, 8 * n, [&] { fake_quantize(device, quant, other); });
    timer.time(name + "_backward", 12 * n,
               [&] { fake_quantize_backward(device, quant, weight, 0.01f, other, scale_gradient, nullptr); });
  }
  timer.time("pack_nibbles", 1.5 * n, [&] { pack_nibbles(device, bytes, size, mask); });
  timer.time("unpack_nibbles", 1.5 * n, [&] { unpack_nibbles(device, mask, size, IntegerType::int4, bytes); });
  for (void* data :
       {static_cast<void*>(weight), static_cast<void*>(gradient), static_cast<void*>(score), static_cast<void*>(other),
        static_cast<void*>(mask), static_cast<void*>(bits), static_cast<void*>(bytes), static_cast<void*>(flag),
        static_cast<void*>(histogram), static_cast<void*>(channel_values), static_cast<void*>(scale_gradient)})
    twin.release(data);
  return {{"size", size}, {"threads", settings.threads}, {"device", twin.name()}, {"kernels", timer.results()}};
}

}  // namespace
}  // namespace pare::test

int main(int argc, char** argv) {
  pare::test::Settings settings;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    const long value = std::atol(argv[i + 1]);
    if (option == "--size") settings.size = value;
    if (option == "--threads") settings.threads = static_cast<int>(value);
    if (option == "--repeats") settings.repeats = static_cast<int>(value);
  }
  if (argc % 2 == 0 || settings.size < 4000 || settings.threads < 1 || settings.repeats < 1) {
    std::cerr << "usage: bench_kernels [--size N>=4000] [--threads N] [--repeats N]\n";
    return 2;
  }
  pare::set_threads(settings.threads);
  if (pare::test::twin_devices().empty()) {
    std::cerr << "bench_kernels: no device\n";
    return 1;
  }
  std::cout << run(*pare::test::twin_devices().front(), settings).dump(1) << "\n";
}
