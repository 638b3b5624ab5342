// Where the pointers of a kernel call live, and what both twins of a kernel share.
//
// Every kernel is a family of files: X.hpp (contract), X_math.hpp (the formula, once), X.cpp (checks, dispatch and the
// CPU twin on parallel_for), X.cu (the CUDA twin, without LibTorch). kernels::X checks its arguments once and calls
// cpu::X or cuda::X; the twins check nothing. Without CUDA, cuda::X comes from cuda_absent.cpp and throws.
#pragma once

#include <cstdint>

// A function of both twins. nvcc compiles it for host and device.
#if defined(__CUDACC__)
#define PARE_HD __host__ __device__ inline
#else
#define PARE_HD inline
#endif

// A free function that gcc and clang compile once per instruction set and pick at load time. On lambdas it does
// nothing.
#if defined(__x86_64__) && !defined(__CUDACC__) && !defined(PARE_NO_TARGET_CLONES)
#define PARE_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define PARE_SIMD
#endif

namespace pare::kernels {

struct Device {
  bool cuda = false;       // all pointers of the call are device pointers of the current CUDA device
  void* stream = nullptr;  // cudaStream_t; kernels are enqueued on it, and a call synchronises only where it says so
};

// Storage types of floating-point inputs; arithmetic is always fp32.
enum class FloatType : uint8_t { fp32, bf16, fp16 };

}  // namespace pare::kernels
