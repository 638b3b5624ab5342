// Runs CUDA kernels on the CPU, for tests: `g++ -x c++ -include tests/support/cuda_emulator.hpp kernels/score.cu`.
//
// A block's threads are fibers on one CPU thread, blocks run one after another. __syncthreads and the warp functions
// switch fibers; the order of threads and blocks is normal, reversed or random by seed. Found, each as an EmulatorError
// that says where:
//   - shared memory: an index out of range, a read of an element that was never written, and two threads on one element
//     without a barrier between them (a missing __syncthreads or __syncwarp), whatever the order of the threads;
//   - threads at different __syncthreads, or some at one while others have ended or wait elsewhere (a divergent
//   barrier);
//   - a warp function whose mask names a lane that never comes, or whose lanes are at different calls;
//   - an empty grid, more than 1,024 threads a block, more than 48 KB of shared memory.
// Atomics are ordered among themselves but are no barrier. Global memory is plain memory: tests give it guard bands.
// Device memory starts as garbage (0xCD), so an algorithm that needs zeros fails without its memset.
#pragma once

#define PARE_CUDA_EMULATED 1

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <source_location>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)
#define __forceinline__ inline

struct uint3 {
  unsigned x = 0, y = 0, z = 0;
};

struct dim3 {
  dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  unsigned x, y, z;
};

struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(8) ushort4 {
  unsigned short x, y, z, w;
};
struct alignas(4) uchar4 {
  unsigned char x, y, z, w;
};

namespace pare::emulator {

using Location = std::source_location;

struct EmulatorError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Order { normal, reversed, random };

struct Settings {
  Order order = Order::normal;
  uint64_t seed = 0;
  int multiprocessors = 2;  // small, so that kernels with a stride over the grid walk several steps
};

// Of all later launches.
Settings& settings();

// What a kernel reads as threadIdx and the like.
struct ThreadContext {
  uint3 thread, block;
  dim3 block_size, grid_size;
};
const ThreadContext& current();

// Runs body() for every thread of every block. Throws what a thread throws; no other thread runs after that.
void launch(const char* kernel, dim3 grid, dim3 block, const std::function<void()>& body);

void sync_block(Location where);
void sync_warp(unsigned mask, Location where);

// Gives `value` (8 bytes at most) to the lanes of `mask`; returns the values of all 32 lanes, zero for those outside.
const uint64_t* exchange(unsigned mask, uint64_t value, Location where);

[[noreturn]] void fail_at(Location where, const std::string& what);

// The threads that made the last accesses of one kind to an element: one thread, several of one warp, or of several
// warps.
struct Toucher {
  static constexpr int nobody = -1, several = -2;
  int thread = nobody, warp = nobody;
  int64_t epoch = 0;       // of the block: __syncthreads passed
  int64_t warp_epoch = 0;  // of the warp: __syncwarp passed
};

// One shared array of the running block: its bytes, and for every element who touched it last.
struct SharedElement {
  bool written = false;
  Toucher writer, atomic_writer, reader;
};
struct SharedStorage {
  std::vector<std::byte> bytes;
  std::vector<SharedElement> elements;
};
SharedStorage& shared_storage(const char* name, size_t count, size_t element_size, Location where);

enum class Access { read, write, atomic };
void note_access(const char* name, SharedStorage& storage, size_t index, Access access, Location where);

// An element of a shared array: reads and writes are checked.
template <class T>
class SharedReference {
 public:
  SharedReference(const char* name, SharedStorage& storage, size_t index, Location where)
      : name_(name), storage_(storage), index_(index), where_(where) {}
  SharedReference(const SharedReference&) = default;

  operator T() const { return read(); }
  SharedReference& operator=(const SharedReference& other) { return *this = other.read(); }
  SharedReference& operator=(const T& value) {
    note_access(name_, storage_, index_, Access::write, where_);
    memcpy(data(), &value, sizeof(T));
    return *this;
  }
  template <class U>
  SharedReference& operator+=(const U& value) {
    return *this = static_cast<T>(read() + value);
  }
  template <class U>
  SharedReference& operator|=(const U& value) {
    return *this = static_cast<T>(read() | value);
  }

  T read() const {
    note_access(name_, storage_, index_, Access::read, where_);
    T value;
    memcpy(&value, data(), sizeof(T));
    return value;
  }
  // For atomics: the element's memory, noted as an atomic access.
  T* atomic_data() const {
    note_access(name_, storage_, index_, Access::atomic, where_);
    return reinterpret_cast<T*>(data());
  }
  // `&array[i]`, as an argument of an atomic function.
  const SharedReference* operator&() const { return this; }

 private:
  std::byte* data() const { return storage_.bytes.data() + index_ * sizeof(T); }

  const char* name_;
  SharedStorage& storage_;
  size_t index_;
  Location where_;
};

// An index that knows the line it is written in.
struct SharedIndex {
  template <class Integer>
  SharedIndex(Integer index, Location place = Location::current()) : value(static_cast<int64_t>(index)), where(place) {}
  int64_t value;
  Location where;
};

template <class T>
class SharedArray {
 public:
  static_assert(std::is_trivially_copyable_v<T>);
  SharedArray(const char* name, size_t count, Location where = Location::current())
      : name_(name), count_(count), storage_(shared_storage(name, count, sizeof(T), where)) {}

  SharedReference<T> operator[](SharedIndex index) const {
    if (index.value < 0 || static_cast<size_t>(index.value) >= count_)
      fail_at(index.where, std::string("shared array ") + name_ + ": index " + std::to_string(index.value) +
                               " out of range (size " + std::to_string(count_) + ")");
    return {name_, storage_, static_cast<size_t>(index.value), index.where};
  }

 private:
  const char* name_;
  size_t count_;
  SharedStorage& storage_;
};

template <class T>
uint64_t to_bits(T value) {
  static_assert(sizeof(T) <= 8);
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof(T));
  return bits;
}

template <class T>
T from_bits(uint64_t bits) {
  T value;
  memcpy(&value, &bits, sizeof(T));
  return value;
}

inline unsigned lane() { return current().thread.x % 32; }

}  // namespace pare::emulator

#define threadIdx (::pare::emulator::current().thread)
#define blockIdx (::pare::emulator::current().block)
#define blockDim (::pare::emulator::current().block_size)
#define gridDim (::pare::emulator::current().grid_size)

#define PARE_SHARED(T, name, n) const ::pare::emulator::SharedArray<T> name(#name, n)
#define PARE_LAUNCH(kernel, grid, block, stream, ...)                                                                 \
  do {                                                                                                                \
    static_cast<void>(stream);                                                                                        \
    ::pare::emulator::launch(#kernel, dim3(grid), dim3(block), [&, launch_arguments = std::make_tuple(__VA_ARGS__)] { \
      std::apply([](auto... arguments) { kernel(arguments...); }, launch_arguments);                                  \
    });                                                                                                               \
  } while (false)

#include <tuple>

// --- device functions ------------------------------------------------------------------------------------------------
inline void __syncthreads(pare::emulator::Location where = pare::emulator::Location::current()) {
  pare::emulator::sync_block(where);
}
inline void __syncwarp(unsigned mask = 0xffffffffu,
                       pare::emulator::Location where = pare::emulator::Location::current()) {
  pare::emulator::sync_warp(mask, where);
}
inline void __threadfence() {}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              pare::emulator::Location where = pare::emulator::Location::current()) {
  const int base = static_cast<int>(pare::emulator::lane()) / width * width;
  const uint64_t* values = pare::emulator::exchange(mask, pare::emulator::to_bits(value), where);
  return pare::emulator::from_bits<T>(values[base + source % width]);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta,
                 pare::emulator::Location where = pare::emulator::Location::current()) {
  const uint64_t* values = pare::emulator::exchange(mask, pare::emulator::to_bits(value), where);
  const unsigned lane = pare::emulator::lane();
  return lane < delta ? value : pare::emulator::from_bits<T>(values[lane - delta]);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta,
                   pare::emulator::Location where = pare::emulator::Location::current()) {
  const uint64_t* values = pare::emulator::exchange(mask, pare::emulator::to_bits(value), where);
  const unsigned lane = pare::emulator::lane();
  return lane + delta > 31 ? value : pare::emulator::from_bits<T>(values[lane + delta]);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, unsigned lane_mask,
                  pare::emulator::Location where = pare::emulator::Location::current()) {
  const uint64_t* values = pare::emulator::exchange(mask, pare::emulator::to_bits(value), where);
  return pare::emulator::from_bits<T>(values[(pare::emulator::lane() ^ lane_mask) % 32]);
}
inline unsigned __ballot_sync(unsigned mask, bool predicate,
                              pare::emulator::Location where = pare::emulator::Location::current()) {
  const uint64_t* values = pare::emulator::exchange(mask, predicate ? 1 : 0, where);
  unsigned ballot = 0;
  for (unsigned lane = 0; lane < 32; ++lane) ballot |= static_cast<unsigned>(values[lane]) << lane;
  return ballot;
}
inline int __popc(unsigned value) { return __builtin_popcount(value); }
inline int __popcll(unsigned long long value) { return __builtin_popcountll(value); }
inline int __ffs(unsigned value) { return __builtin_ffs(static_cast<int>(value)); }

// Global memory. Fibers switch at barriers and warp functions only, so a plain update is atomic.
template <class T, class U>
T atomicAdd(T* address, U value) {
  const T old = *address;
  *address = static_cast<T>(old + value);
  return old;
}
template <class T, class U>
T atomicMax(T* address, U value) {
  const T old = *address;
  if (static_cast<T>(value) > old) *address = static_cast<T>(value);
  return old;
}
template <class T, class U>
T atomicMin(T* address, U value) {
  const T old = *address;
  if (static_cast<T>(value) < old) *address = static_cast<T>(value);
  return old;
}
template <class T, class U>
T atomicOr(T* address, U value) {
  const T old = *address;
  *address = static_cast<T>(old | value);
  return old;
}
// Shared memory.
template <class T, class U>
T atomicAdd(const pare::emulator::SharedReference<T>* element, U value) {
  return atomicAdd(element->atomic_data(), value);
}
template <class T, class U>
T atomicMax(const pare::emulator::SharedReference<T>* element, U value) {
  return atomicMax(element->atomic_data(), value);
}
template <class T, class U>
T atomicMin(const pare::emulator::SharedReference<T>* element, U value) {
  return atomicMin(element->atomic_data(), value);
}
template <class T, class U>
T atomicOr(const pare::emulator::SharedReference<T>* element, U value) {
  return atomicOr(element->atomic_data(), value);
}

// --- the runtime functions that launch.hpp uses; a stream is always idle
// -----------------------------------------------
using cudaStream_t = void*;
enum cudaError_t { cudaSuccess, cudaErrorMemoryAllocation };
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum cudaDeviceAttr { cudaDevAttrMultiProcessorCount };

inline const char* cudaGetErrorString(cudaError_t error) { return error == cudaSuccess ? "no error" : "out of memory"; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
  return *value = pare::emulator::settings().multiprocessors, cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
inline cudaError_t cudaMalloc(void** data, size_t bytes) {
  *data = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (*data == nullptr) return cudaErrorMemoryAllocation;
  memset(*data, 0xcd, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaFree(void* data) { return std::free(data), cudaSuccess; }
inline cudaError_t cudaMallocAsync(void** data, size_t bytes, cudaStream_t) { return cudaMalloc(data, bytes); }
inline cudaError_t cudaFreeAsync(void* data, cudaStream_t) { return cudaFree(data); }
inline cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t) {
  return memset(data, value, bytes), cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t) {
  return memcpy(to, from, bytes), cudaSuccess;
}
