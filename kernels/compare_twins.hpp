// Every kernel on a device against its CPU twin, on the same inputs: `pare doctor --gpu-test`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/device.hpp"

namespace pare::kernels {

// Memory of the device under test. Allocations are aligned to 256 bytes; copies have finished when they return.
class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* data) = 0;
  virtual void copy_in(void* to, const void* from_host, size_t bytes) = 0;
  virtual void copy_out(void* to_host, const void* from, size_t bytes) = 0;
};

struct TwinComparison {
  const char* kernel;
  int64_t compared = 0;          // bytes of results
  std::string first_difference;  // "" where all bytes are equal
};

// One row for each kernel family: its results for every size, in seeded values and element types that training and
// quantization have, equal bit for bit or not. Errors of the device are rows too.
std::vector<TwinComparison> compare_twins(Device device, DeviceMemory& memory, std::span<const int64_t> sizes);

}  // namespace pare::kernels
