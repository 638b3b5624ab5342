// Fake quantization and its gradients.
//
// Forward: 4 B read and 4 B written a value (2 + 2 with 16-bit types). Backward: 8 B read, 4 B written, and 8 B for
// 1,024 values of partial sums. A warp takes a segment of 1,024 neighbours of one channel, 128 B at a time; the
// compiler unrolls its loop of 32, and 64 warps a multiprocessor keep enough loads in flight. Where the channels lie
// side by side a thread takes one channel of 64 rows, so that a warp still reads neighbours. Division keeps the
// arithmetic exact; it costs about ten instructions a value, below what the memory takes: each pass should run at 80 %
// of the bandwidth of a copy. A second launch of a block a channel adds the partial sums, in an order that depends on
// the shape alone. 256 threads, eight blocks a multiprocessor, 2 KB of shared memory in the second launch.
#include "kernels/block_scan.hpp"
#include "kernels/fake_quant.hpp"
#include "kernels/fake_quant_math.hpp"
#include "kernels/tensor_list.hpp"

namespace pare::kernels::cuda {
namespace {

constexpr int threads = chunk_threads;
constexpr int warps = threads / segment_lanes;
static_assert(threads == channel_lanes);

__global__ void __launch_bounds__(threads) forward_rows_kernel(FakeQuant quant, Segments segments, void* result) {
  const int64_t count = segments.count(), stride = int64_t{gridDim.x} * warps;
  for (int64_t s = int64_t{blockIdx.x} * warps + threadIdx.x / segment_lanes; s < count; s += stride) {
    const QuantGrid grid = grid_of(quant, segments.channel(s));
    const int64_t begin = segments.begin(s), end = begin + segments.length(s);
    for (int64_t i = begin + threadIdx.x % segment_lanes; i < end; i += segment_lanes)
      store_float(result, quant.type, i, fake_quantize_one(load_float(quant.values, quant.type, i), grid));
  }
}

__global__ void __launch_bounds__(threads) forward_columns_kernel(FakeQuant quant, Segments segments, void* result) {
  const int64_t count = segments.count(), stride = int64_t{gridDim.x} * threads;
  for (int64_t s = int64_t{blockIdx.x} * threads + threadIdx.x; s < count; s += stride) {
    const int64_t channel = s % segments.channels, first = s / segments.channels * segment_rows;
    const QuantGrid grid = grid_of(quant, channel);
    for (int64_t row = first; row < first + segment_rows && row < segments.rows; ++row) {
      const int64_t i = row * segments.channels + channel;
      store_float(result, quant.type, i, fake_quantize_one(load_float(quant.values, quant.type, i), grid));
    }
  }
}

// What the backward kernels write: partial sums of every segment.
struct Partials {
  float* step;
  float* clipped;
};

__device__ void accumulate(const FakeQuant& quant, const QuantGrid& grid, const void* gradient, int64_t i,
                           void* input_gradient, float& step, float& clipped) {
  const QuantGradients one =
      fake_quantize_gradients(load_float(quant.values, quant.type, i), load_float(gradient, quant.type, i), grid);
  store_float(input_gradient, quant.type, i, one.value);
  step += one.step;
  clipped += one.clipped;
}

__global__ void __launch_bounds__(threads)
    backward_rows_kernel(FakeQuant quant, Segments segments, const void* gradient, void* input_gradient,
                         Partials partials) {
  const int64_t count = segments.count(), stride = int64_t{gridDim.x} * warps;
  for (int64_t s = int64_t{blockIdx.x} * warps + threadIdx.x / segment_lanes; s < count; s += stride) {
    const QuantGrid grid = grid_of(quant, segments.channel(s));
    const int64_t begin = segments.begin(s), end = begin + segments.length(s);
    float step = 0.0f, clipped = 0.0f;
    for (int64_t i = begin + threadIdx.x % segment_lanes; i < end; i += segment_lanes)
      accumulate(quant, grid, gradient, i, input_gradient, step, clipped);
    for (unsigned width = segment_lanes / 2; width > 0; width /= 2) {
      step += __shfl_down_sync(full_warp, step, width);
      clipped += __shfl_down_sync(full_warp, clipped, width);
    }
    if (threadIdx.x % segment_lanes == 0) {
      partials.step[s] = step;
      partials.clipped[s] = clipped;
    }
  }
}

__global__ void __launch_bounds__(threads)
    backward_columns_kernel(FakeQuant quant, Segments segments, const void* gradient, void* input_gradient,
                            Partials partials) {
  const int64_t count = segments.count(), stride = int64_t{gridDim.x} * threads;
  for (int64_t s = int64_t{blockIdx.x} * threads + threadIdx.x; s < count; s += stride) {
    const int64_t channel = s % segments.channels, first = s / segments.channels * segment_rows;
    const QuantGrid grid = grid_of(quant, channel);
    float step = 0.0f, clipped = 0.0f;
    for (int64_t row = first; row < first + segment_rows && row < segments.rows; ++row)
      accumulate(quant, grid, gradient, row * segments.channels + channel, input_gradient, step, clipped);
    partials.step[s] = step;
    partials.clipped[s] = clipped;
  }
}

// A block a channel.
__global__ void __launch_bounds__(threads)
    fold_kernel(Segments segments, Partials partials, const float* scale, float gradient_scale, float* scale_gradient,
                float* zero_gradient) {
  PARE_SHARED(float, step, channel_lanes);
  PARE_SHARED(float, clipped, channel_lanes);
  const int lane = threadIdx.x;
  for (int64_t channel = blockIdx.x; channel < segments.channels; channel += gridDim.x) {
    float step_sum = 0.0f, clipped_sum = 0.0f;
    for (int64_t p = lane; p < segments.of_channel(); p += channel_lanes) {
      const int64_t s = segments.index(channel, p);
      step_sum += partials.step[s];
      clipped_sum += partials.clipped[s];
    }
    step[lane] = step_sum;
    clipped[lane] = clipped_sum;
    __syncthreads();
    for (int width = channel_lanes / 2; width > 0; width /= 2) {
      if (lane < width) {
        step[lane] = step[lane] + step[lane + width];
        clipped[lane] = clipped[lane] + clipped[lane + width];
      }
      __syncthreads();
    }
    if (lane == 0) {
      scale_gradient[channel] = step[0] * gradient_scale;
      if (zero_gradient != nullptr) zero_gradient[channel] = clipped[0] * gradient_scale * -scale[channel];
    }
    __syncthreads();  // the next channel writes the lanes again
  }
}

unsigned grid_for(const Segments& segments) {
  const int64_t per_block = segments.columns ? threads : warps;
  return stride_grid((segments.count() + per_block - 1) / per_block, 8);
}

}  // namespace

void fake_quantize(void* stream, const FakeQuant& quant, void* result) {
  const Segments segments = segments_of(quant.view);
  if (segments.columns)
    PARE_LAUNCH(forward_columns_kernel, grid_for(segments), threads, stream, quant, segments, result);
  else PARE_LAUNCH(forward_rows_kernel, grid_for(segments), threads, stream, quant, segments, result);
}

void fake_quantize_backward(void* stream, const FakeQuant& quant, const void* gradient, float gradient_scale,
                            void* input_gradient, float* scale_gradient, float* zero_gradient) {
  const Segments segments = segments_of(quant.view);
  const auto count = static_cast<size_t>(segments.count());
  const Scratch scratch(stream, 2 * count * sizeof(float));
  const Partials partials{scratch.at<float>(), scratch.at<float>(count * sizeof(float))};
  if (count > 0) {
    if (segments.columns)
      PARE_LAUNCH(backward_columns_kernel, grid_for(segments), threads, stream, quant, segments, gradient,
                  input_gradient, partials);
    else
      PARE_LAUNCH(backward_rows_kernel, grid_for(segments), threads, stream, quant, segments, gradient, input_gradient,
                  partials);
  }
  PARE_LAUNCH(fold_kernel, stride_grid(segments.channels, 8), threads, stream, segments, partials, quant.scale,
              gradient_scale, scale_gradient, quant.zero_points == nullptr ? nullptr : zero_gradient);
}

}  // namespace pare::kernels::cuda
