// The devices that the case table and the benchmark run on.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/device.hpp"

namespace pare::test {

// Where a case runs, and its memory.
class TwinDevice {
 public:
  virtual ~TwinDevice() = default;
  virtual std::string name() const = 0;
  virtual kernels::Device device() const = 0;
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* data) = 0;
  virtual void copy_in(void* to, const void* from_host, size_t bytes) = 0;
  virtual void copy_out(void* to_host, const void* from, size_t bytes) = 0;
  virtual void copy(void* to, const void* from, size_t bytes) = 0;  // as fast as this device copies; need not wait
  virtual void wait() {}                                            // until everything enqueued has run
  virtual void prepare() {}                                         // before each case
  virtual bool runs_large() const { return true; }  // whether cases of a million elements are affordable here
};

// The devices of this executable: devices_cpu.cpp or devices_cuda.cpp.
const std::vector<std::unique_ptr<TwinDevice>>& twin_devices();

}  // namespace pare::test
