// The emulator finds what it promises to find: kernels with one planted defect each, in every order of threads.
// Compiled after cuda_emulator.hpp.
#include <doctest/doctest.h>

#include "tests/support/cuda_emulator.hpp"

namespace pare::emulator {
namespace {

template <class Body>
void in_every_order(const Body& body) {
  for (const Order order : {Order::normal, Order::reversed, Order::random}) {
    settings() = {order, 3, 2};
    INFO("order " << static_cast<int>(order));
    body();
  }
}

// The message of the EmulatorError that `body` throws, or "".
template <class Body>
std::string error_of(const Body& body) {
  try {
    body();
  } catch (const EmulatorError& error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

__global__ void reverse_kernel(const int* in, int* out, bool with_barrier) {
  PARE_SHARED(int, tile, 64);
  tile[threadIdx.x] = in[blockIdx.x * 64 + threadIdx.x];
  if (with_barrier) __syncthreads();
  out[blockIdx.x * 64 + threadIdx.x] = tile[63 - threadIdx.x];
}

__global__ void write_after_read_kernel(int* out, bool with_barrier) {
  PARE_SHARED(int, tile, 32);
  tile[threadIdx.x] = static_cast<int>(threadIdx.x);
  __syncthreads();
  const int other = tile[31 - threadIdx.x];
  if (with_barrier) __syncthreads();
  tile[threadIdx.x] = other;
  out[threadIdx.x] = tile[threadIdx.x];
}

__global__ void warp_tile_kernel(int* out, bool with_barrier) {
  PARE_SHARED(int, tile, 64);
  tile[threadIdx.x] = static_cast<int>(threadIdx.x);
  if (with_barrier) __syncwarp();
  out[threadIdx.x] = tile[threadIdx.x ^ 1];
}

__global__ void out_of_range_kernel(int* out, int size) {
  PARE_SHARED(int, tile, 8);
  for (int i = 0; i < size; ++i) tile[i] = i;
  out[0] = tile[0];
}

__global__ void uninitialised_kernel(int* out) {
  PARE_SHARED(int, tile, 8);
  if (threadIdx.x < 7) tile[threadIdx.x] = 1;
  __syncthreads();
  if (threadIdx.x == 0) out[0] = tile[7];
}

__global__ void two_barriers_kernel(int* out) {
  if (threadIdx.x < 16) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  out[threadIdx.x] = 1;
}

__global__ void early_exit_kernel(int* out) {
  if (threadIdx.x == 40) return;
  __syncthreads();
  out[threadIdx.x] = 1;
}

__global__ void divergent_shuffle_kernel(int* out) {
  if (threadIdx.x < 20) out[threadIdx.x] = __shfl_sync(0xffffffffu, 1, 0);
}

__global__ void sum_kernel(const int* in, int* sum, int size) {
  PARE_SHARED(int, warp_sums, 4);
  int own = 0;
  for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); i < size;
       i += static_cast<int>(gridDim.x * blockDim.x))
    own += in[i];
  for (unsigned step = 16; step > 0; step /= 2) own += __shfl_down_sync(0xffffffffu, own, step);
  if (threadIdx.x % 32 == 0) warp_sums[threadIdx.x / 32] = own;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int w = 0; w < 4; ++w) atomicAdd(sum, static_cast<int>(warp_sums[w]));
}

__global__ void histogram_kernel(int* out, bool with_barrier) {
  PARE_SHARED(int, bins, 4);
  if (threadIdx.x < 4) bins[threadIdx.x] = 0;
  if (with_barrier) __syncthreads();
  atomicAdd(&bins[threadIdx.x % 4], 1);
  __syncthreads();
  if (threadIdx.x < 4) out[threadIdx.x] = bins[threadIdx.x];
}

__global__ void lane_kernel(unsigned* ballot, int* rotated, int* above, int* flipped) {
  const int lane = static_cast<int>(threadIdx.x);
  ballot[lane] = __ballot_sync(0xffffffffu, lane % 3 == 0);
  rotated[lane] = __shfl_sync(0xffffffffu, lane, lane + 1);
  above[lane] = __shfl_up_sync(0xffffffffu, lane, 4);
  flipped[lane] = __shfl_xor_sync(0xffffffffu, lane, 5);
}

__global__ void large_shared_kernel(int* out) {
  PARE_SHARED(double, tile, 6145);
  tile[0] = 1;
  out[0] = 1;
}

}  // namespace

TEST_CASE("emulator: right kernels give right results in every order") {
  in_every_order([] {
    std::vector<int> in(256), out(256);
    for (int i = 0; i < 256; ++i) in[static_cast<size_t>(i)] = i * i;
    PARE_LAUNCH(reverse_kernel, 4, 64, nullptr, in.data(), out.data(), true);
    for (size_t i = 0; i < 256; ++i) CHECK(out[i] == in[i / 64 * 64 + 63 - i % 64]);

    int sum = 0;
    PARE_LAUNCH(sum_kernel, 3, 128, nullptr, in.data(), &sum, 256);
    CHECK(sum == 255 * 256 * 511 / 6);

    PARE_LAUNCH(histogram_kernel, 1, 128, nullptr, out.data(), true);
    for (size_t bin = 0; bin < 4; ++bin) CHECK(out[bin] == 32);
    PARE_LAUNCH(write_after_read_kernel, 1, 32, nullptr, out.data(), true);
    for (int i = 0; i < 32; ++i) CHECK(out[static_cast<size_t>(i)] == 31 - i);
    PARE_LAUNCH(warp_tile_kernel, 1, 64, nullptr, out.data(), true);
    for (int i = 0; i < 64; ++i) CHECK(out[static_cast<size_t>(i)] == (i ^ 1));
  });
}

TEST_CASE("emulator: warp functions follow CUDA's definitions") {
  in_every_order([] {
    std::vector<unsigned> ballot(32);
    std::vector<int> rotated(32), above(32), flipped(32);
    PARE_LAUNCH(lane_kernel, 1, 32, nullptr, ballot.data(), rotated.data(), above.data(), flipped.data());
    for (int lane = 0; lane < 32; ++lane) {
      const size_t i = static_cast<size_t>(lane);
      CHECK(ballot[i] == 0x49249249u);
      CHECK(rotated[i] == (lane + 1) % 32);
      CHECK(above[i] == (lane < 4 ? lane : lane - 4));
      CHECK(flipped[i] == (lane ^ 5));
    }
  });
}

TEST_CASE("emulator: finds a missing barrier, read after write and write after read") {
  in_every_order([] {
    std::vector<int> in(64), out(128);
    CHECK(contains(error_of([&] { PARE_LAUNCH(reverse_kernel, 1, 64, nullptr, in.data(), out.data(), false); }),
                   "tile["));
    CHECK(contains(error_of([&] { PARE_LAUNCH(write_after_read_kernel, 1, 32, nullptr, out.data(), false); }),
                   "no barrier since another thread's"));
    CHECK(contains(error_of([&] { PARE_LAUNCH(warp_tile_kernel, 1, 64, nullptr, out.data(), false); }), "tile["));
    CHECK(contains(error_of([&] { PARE_LAUNCH(histogram_kernel, 1, 128, nullptr, out.data(), false); }), "bins["));
  });
}

TEST_CASE("emulator: finds an access out of a shared array's range, and says where") {
  in_every_order([] {
    int out = 0;
    PARE_LAUNCH(out_of_range_kernel, 1, 1, nullptr, &out, 8);
    const std::string error = error_of([&] { PARE_LAUNCH(out_of_range_kernel, 1, 1, nullptr, &out, 9); });
    CHECK(contains(error, "shared array tile: index 8 out of range (size 8)"));
    CHECK(contains(error, "out_of_range_kernel: test_cuda_emulator.cpp:"));
    CHECK(contains(error, "block 0, thread 0"));
  });
}

TEST_CASE("emulator: finds a read of a shared element that was never written") {
  in_every_order([] {
    int out = 0;
    CHECK(contains(error_of([&] { PARE_LAUNCH(uninitialised_kernel, 1, 32, nullptr, &out); }),
                   "tile[7]: it is read before it was written"));
  });
}

TEST_CASE("emulator: finds threads at different barriers, and barriers that ended threads miss") {
  in_every_order([] {
    std::vector<int> out(64);
    CHECK(
        contains(error_of([&] { PARE_LAUNCH(two_barriers_kernel, 1, 32, nullptr, out.data()); }), "divergent barrier"));
    CHECK(contains(error_of([&] { PARE_LAUNCH(early_exit_kernel, 1, 64, nullptr, out.data()); }), "divergent barrier"));
    CHECK(contains(error_of([&] { PARE_LAUNCH(divergent_shuffle_kernel, 1, 32, nullptr, out.data()); }),
                   "divergent warp call"));
  });
}

TEST_CASE("emulator: refuses launches and shared memory that no GPU accepts") {
  int out = 0;
  CHECK(contains(error_of([&] { PARE_LAUNCH(uninitialised_kernel, 0, 32, nullptr, &out); }), "invalid launch"));
  CHECK(contains(error_of([&] { PARE_LAUNCH(uninitialised_kernel, 1, 1025, nullptr, &out); }), "invalid launch"));
  CHECK(contains(error_of([&] { PARE_LAUNCH(large_shared_kernel, 1, 1, nullptr, &out); }), "more than 48 KB"));
}

TEST_CASE("emulator: device memory starts as garbage") {
  void* data = nullptr;
  REQUIRE(cudaMalloc(&data, 100) == cudaSuccess);
  CHECK(static_cast<unsigned char*>(data)[99] == 0xcd);
  cudaFree(data);
}

}  // namespace pare::emulator
