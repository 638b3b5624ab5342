// What every .cu file stands on: the launch macro, shared memory, error checks and stream-ordered scratch memory.
// Included by .cu files only. Under nvcc this is CUDA; the tests compile the same .cu files as C++ after tests/support/
// cuda_emulator.hpp, which provides the same names.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cuda_failure.hpp"

#if defined(__CUDACC__)
#include <cuda_runtime.h>

// kernel<<<grid, block>>> on `stream` (void*, a cudaStream_t); a template kernel goes in parentheses. Throws on
// failure.
#define PARE_LAUNCH(kernel, grid, block, stream, ...)                               \
  do {                                                                              \
    kernel<<<(grid), (block), 0, static_cast<cudaStream_t>(stream)>>>(__VA_ARGS__); \
    ::pare::kernels::cuda::check_cuda(cudaGetLastError(), #kernel);                 \
  } while (false)

// An array of n elements of T, one for the whole block. n is a constant; the contents start undefined.
#define PARE_SHARED(T, name, n) __shared__ T name[n]
#elif !defined(PARE_CUDA_EMULATED)
#error "a .cu file needs nvcc, or -include tests/support/cuda_emulator.hpp"
#endif

namespace pare::kernels::cuda {

// Throws Error(failure) with CUDA's message unless `status` is success.
inline void check_cuda(cudaError_t status, const char* what) {
  if (status != cudaSuccess) fail_cuda(what, cudaGetErrorString(status));
}

inline cudaStream_t as_stream(void* stream) { return static_cast<cudaStream_t>(stream); }

// Blocks for a kernel that walks over `work` pieces with a stride: `per_processor` blocks for each multiprocessor, or
// fewer.
inline unsigned stride_grid(int64_t work, int per_processor) {
  int device = 0, processors = 0;
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  check_cuda(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device), "cudaDeviceGetAttribute");
  const int64_t most = int64_t{processors} * per_processor;
  return static_cast<unsigned>(work < most ? work : most);
}

// Device memory that lives from here to the end of the scope in stream order; no synchronisation.
class Scratch {
 public:
  Scratch(void* stream, size_t bytes) : stream_(as_stream(stream)) {
    check_cuda(cudaMallocAsync(&data_, bytes < 16 ? 16 : bytes, stream_), "cudaMallocAsync");
  }
  ~Scratch() { cudaFreeAsync(data_, stream_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  template <class T>
  T* at(size_t byte_offset = 0) const {
    return reinterpret_cast<T*>(static_cast<char*>(data_) + byte_offset);
  }

 private:
  cudaStream_t stream_;
  void* data_ = nullptr;
};

inline void set_bytes(void* stream, void* data, int value, size_t bytes) {
  check_cuda(cudaMemsetAsync(data, value, bytes, as_stream(stream)), "cudaMemsetAsync");
}

// Pageable host memory may be reused as soon as this returns.
inline void upload(void* stream, void* to_device, const void* from_host, size_t bytes) {
  check_cuda(cudaMemcpyAsync(to_device, from_host, bytes, cudaMemcpyHostToDevice, as_stream(stream)),
             "cudaMemcpyAsync");
}

// Waits for the stream.
template <class T>
T download(void* stream, const T* from_device) {
  T value;
  check_cuda(cudaMemcpyAsync(&value, from_device, sizeof value, cudaMemcpyDeviceToHost, as_stream(stream)),
             "cudaMemcpyAsync");
  check_cuda(cudaStreamSynchronize(as_stream(stream)), "cudaStreamSynchronize");
  return value;
}

}  // namespace pare::kernels::cuda
