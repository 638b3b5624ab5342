#include "kernels/fake_quant.hpp"

#include <array>

#include "kernels/blocks.hpp"
#include "kernels/fake_quant_math.hpp"

namespace pare::kernels {
namespace {

PARE_SIMD void widen_range(const uint16_t* values, FloatType type, int64_t count, float* out) {
  if (type == FloatType::bf16) {
    for (int64_t i = 0; i < count; ++i) out[i] = bf16_to_float(values[i]);
  } else {
    for (int64_t i = 0; i < count; ++i) out[i] = fp16_to_float(values[i]);
  }
}

PARE_SIMD void narrow_range(const float* values, FloatType type, int64_t count, uint16_t* out) {
  if (type == FloatType::bf16) {
    for (int64_t i = 0; i < count; ++i) out[i] = float_to_bf16(values[i]);
  } else {
    for (int64_t i = 0; i < count; ++i) out[i] = float_to_fp16(values[i]);
  }
}

// At most segment_elements of an array as fp32: the array itself, or a copy that is written back by store().
class Tile {
 public:
  // Elements begin .. begin + count, to be read.
  const float* load(const void* data, FloatType type, int64_t begin, int64_t count) {
    if (type == FloatType::fp32) return static_cast<const float*>(data) + begin;
    widen_range(static_cast<const uint16_t*>(data) + begin, type, count, buffer_.data());
    return buffer_.data();
  }
  // Where to write elements from `begin` on.
  float* target(void* data, FloatType type, int64_t begin) {
    return type == FloatType::fp32 ? static_cast<float*>(data) + begin : buffer_.data();
  }
  void store(void* data, FloatType type, int64_t begin, int64_t count) {
    if (type != FloatType::fp32) narrow_range(buffer_.data(), type, count, static_cast<uint16_t*>(data) + begin);
  }

 private:
  std::array<float, segment_elements> buffer_;
};

PARE_SIMD void forward_range(const float* values, int64_t count, QuantGrid grid, float* result) {
  for (int64_t i = 0; i < count; ++i) result[i] = fake_quantize_one(values[i], grid);
}

// Grids of neighbouring channels, field by field.
struct GridRow {
  const float *scale, *low, *high;
  float inside;

  QuantGrid at(int64_t i) const { return {scale[i], low[i], high[i], inside}; }
};

// Neighbours with a grid each.
PARE_SIMD void forward_row(const float* values, int64_t count, GridRow grids, float* result) {
  for (int64_t i = 0; i < count; ++i) result[i] = fake_quantize_one(values[i], grids.at(i));
}

struct Sums {
  float step, clipped;
};

// One segment of a row.
PARE_SIMD Sums backward_range(const float* values, const float* gradient, int64_t count, QuantGrid grid,
                              float* __restrict input_gradient) {
  float step[segment_lanes] = {}, clipped[segment_lanes] = {};
  int64_t i = 0;
  for (; i + segment_lanes <= count; i += segment_lanes)
    for (int lane = 0; lane < segment_lanes; ++lane) {
      const QuantGradients one = fake_quantize_gradients(values[i + lane], gradient[i + lane], grid);
      input_gradient[i + lane] = one.value;
      step[lane] += one.step;
      clipped[lane] += one.clipped;
    }
  for (int lane = 0; i + lane < count; ++lane) {
    const QuantGradients one = fake_quantize_gradients(values[i + lane], gradient[i + lane], grid);
    input_gradient[i + lane] = one.value;
    step[lane] += one.step;
    clipped[lane] += one.clipped;
  }
  for (int width = segment_lanes / 2; width > 0; width /= 2)
    for (int lane = 0; lane < width; ++lane) {
      step[lane] += step[lane + width];
      clipped[lane] += clipped[lane + width];
    }
  return {step[0], clipped[0]};
}

// Neighbours with a grid and sums each.
PARE_SIMD void backward_row(const float* values, const float* gradient, int64_t count, GridRow grids,
                            float* __restrict input_gradient, float* __restrict step, float* __restrict clipped) {
  for (int64_t i = 0; i < count; ++i) {
    const QuantGradients one = fake_quantize_gradients(values[i], gradient[i], grids.at(i));
    input_gradient[i] = one.value;
    step[i] += one.step;
    clipped[i] += one.clipped;
  }
}

// The grids of all channels.
class Grids {
 public:
  explicit Grids(const FakeQuant& quant) : channels_(quant.view.length), fields_(static_cast<size_t>(3 * channels_)) {
    inside_ = grid_of(quant, 0).inside;
    for (int64_t c = 0; c < channels_; ++c) {
      const QuantGrid grid = grid_of(quant, c);
      int64_t field = 0;
      for (const float value : {grid.scale, grid.low, grid.high})
        fields_[static_cast<size_t>(field++ * channels_ + c)] = value;
    }
  }

  GridRow from(int64_t channel) const {
    const float* first = fields_.data() + channel;
    return {first, first + channels_, first + 2 * channels_, inside_};
  }
  QuantGrid of(int64_t channel) const { return from(channel).at(0); }

 private:
  int64_t channels_;
  std::vector<float> fields_;
  float inside_;
};

// Calls body(segment) for all of them, in parallel.
template <class Body>
void for_each_segment(const Segments& segments, const Body& body) {
  const int64_t elements = segments.columns ? segment_rows : std::min(segment_elements, segments.inner);
  const int64_t grain = std::max<int64_t>(1, block_elements / std::max<int64_t>(1, elements));
  parallel_for(0, segments.count(), grain, [&](int64_t first, int64_t last) {
    for (int64_t segment = first; segment < last; ++segment) body(segment);
  });
}

// Calls body(block, row, first channel, channels) for every row of every block of rows, up to segment_elements channels
// at a time; the rows of a block in order.
template <class Body>
void for_each_row(const Segments& segments, const Body& body) {
  const int64_t tiles = (segments.channels + segment_elements - 1) / segment_elements;
  parallel_for(0, segments.outer * tiles, 1, [&](int64_t begin, int64_t end) {
    for (int64_t work = begin; work < end; ++work) {
      const int64_t block = work / tiles, first = work % tiles * segment_elements;
      const int64_t count = std::min(segment_elements, segments.channels - first);
      const int64_t last_row = std::min(segments.rows, (block + 1) * segment_rows);
      for (int64_t row = block * segment_rows; row < last_row; ++row) body(block, row, first, count);
    }
  });
}

// The sum of the partial sums of a channel.
float fold_channel(const float* sums, const Segments& segments, int64_t channel) {
  float lanes[channel_lanes] = {};
  const int64_t count = segments.of_channel();
  for (int64_t p = 0; p < count; ++p) lanes[p % channel_lanes] += sums[segments.index(channel, p)];
  int width = 1;  // lanes from here on are zero where there are fewer segments
  while (width < channel_lanes && width < count) width *= 2;
  for (width /= 2; width > 0; width /= 2)
    for (int lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  return lanes[0];
}

void check(const char* function, const FakeQuant& quant, const void* output) {
  const AxisView& view = quant.view;
  if (view.outer < 0 || view.length < 1 || view.inner < 0)
    fail_run("{}: bad layout (got {} x {} x {})", function, view.outer, view.length, view.inner);
  constexpr int largest = 65535;
  if (quant.lowest >= quant.highest || quant.lowest < -largest || quant.highest > largest)
    fail_run("{}: bad grid (got {} to {})", function, quant.lowest, quant.highest);
  if (quant.zero_points == nullptr && (quant.zero_point < quant.lowest || quant.zero_point > quant.highest))
    fail_run("{}: zero point {} is not in {} to {}", function, quant.zero_point, quant.lowest, quant.highest);
  check_tensor(function, 0, quant.size(), quant.values, "values");
  check_tensor(function, 0, quant.size(), output, "result");
  check_tensor(function, 0, view.length, quant.scale, "scale");
}

}  // namespace

void fake_quantize(Device device, const FakeQuant& quant, void* result) {
  check("fake_quantize", quant, result);
  if (quant.size() == 0) return;
  device.cuda ? cuda::fake_quantize(device.stream, quant, result) : cpu::fake_quantize(quant, result);
}

void fake_quantize_backward(Device device, const FakeQuant& quant, const void* gradient, float gradient_scale,
                            void* input_gradient, float* scale_gradient, float* zero_gradient) {
  constexpr const char* name = "fake_quantize_backward";
  check(name, quant, input_gradient);
  check_tensor(name, 0, quant.size(), gradient, "gradient");
  check_tensor(name, 0, quant.view.length, scale_gradient, "scale gradient");
  if (quant.zero_points != nullptr) check_tensor(name, 0, quant.view.length, zero_gradient, "zero point gradient");
  device.cuda
      ? cuda::fake_quantize_backward(device.stream, quant, gradient, gradient_scale, input_gradient, scale_gradient,
                                     zero_gradient)
      : cpu::fake_quantize_backward(quant, gradient, gradient_scale, input_gradient, scale_gradient, zero_gradient);
}

namespace cpu {

void fake_quantize(const FakeQuant& quant, void* result) {
  const Segments segments = segments_of(quant.view);
  const Grids grids(quant);
  if (segments.columns) {
    for_each_row(segments, [&](int64_t, int64_t row, int64_t first, int64_t count) {
      Tile values, results;
      const int64_t begin = row * segments.channels + first;
      forward_row(values.load(quant.values, quant.type, begin, count), count, grids.from(first),
                  results.target(result, quant.type, begin));
      results.store(result, quant.type, begin, count);
    });
    return;
  }
  for_each_segment(segments, [&](int64_t segment) {
    Tile values, results;
    const int64_t begin = segments.begin(segment), count = segments.length(segment);
    forward_range(values.load(quant.values, quant.type, begin, count), count, grids.of(segments.channel(segment)),
                  results.target(result, quant.type, begin));
    results.store(result, quant.type, begin, count);
  });
}

void fake_quantize_backward(const FakeQuant& quant, const void* gradient, float gradient_scale, void* input_gradient,
                            float* scale_gradient, float* zero_gradient) {
  const Segments segments = segments_of(quant.view);
  const Grids grids(quant);
  std::vector<float> step(static_cast<size_t>(segments.count())), clipped(step.size());
  const FloatType type = quant.type;
  if (segments.columns) {
    for_each_row(segments, [&](int64_t block, int64_t row, int64_t first, int64_t count) {
      Tile values, gradients, results;
      const int64_t begin = row * segments.channels + first, sums = block * segments.channels + first;
      backward_row(values.load(quant.values, type, begin, count), gradients.load(gradient, type, begin, count), count,
                   grids.from(first), results.target(input_gradient, type, begin), step.data() + sums,
                   clipped.data() + sums);
      results.store(input_gradient, type, begin, count);
    });
  } else {
    for_each_segment(segments, [&](int64_t segment) {
      Tile values, gradients, results;
      const int64_t begin = segments.begin(segment), count = segments.length(segment);
      const Sums sums =
          backward_range(values.load(quant.values, type, begin, count), gradients.load(gradient, type, begin, count),
                         count, grids.of(segments.channel(segment)), results.target(input_gradient, type, begin));
      results.store(input_gradient, type, begin, count);
      step[static_cast<size_t>(segment)] = sums.step;
      clipped[static_cast<size_t>(segment)] = sums.clipped;
    });
  }
  for (int64_t channel = 0; channel < segments.channels; ++channel) {
    scale_gradient[channel] = fold_channel(step.data(), segments, channel) * gradient_scale;
    if (quant.zero_points != nullptr)
      zero_gradient[channel] = fold_channel(clipped.data(), segments, channel) * gradient_scale * -quant.scale[channel];
  }
}

}  // namespace cpu
}  // namespace pare::kernels
