// The GPU rows of the case table. Compiled twice: as C++ after cuda_emulator.hpp (three emulated GPUs that differ in
// the order of threads and blocks), and against CUDA (the real one, when there is one).
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "tests/support/twin_device.hpp"

#if !defined(PARE_CUDA_EMULATED)
#include <cuda_runtime_api.h>
#endif

namespace pare::test {
namespace {

void check(cudaError_t status) {
  if (status != cudaSuccess) throw std::runtime_error(cudaGetErrorString(status));
}

class Gpu : public TwinDevice {
 public:
  kernels::Device device() const override { return {true, nullptr}; }
  void* allocate(size_t bytes) override {
    void* data = nullptr;
    check(cudaMalloc(&data, bytes));
    return data;
  }
  void release(void* data) override { cudaFree(data); }
  void copy_in(void* to, const void* from_host, size_t bytes) override {
    check(cudaMemcpyAsync(to, from_host, bytes, cudaMemcpyHostToDevice, nullptr));
    wait();
  }
  void copy_out(void* to_host, const void* from, size_t bytes) override {
    check(cudaMemcpyAsync(to_host, from, bytes, cudaMemcpyDeviceToHost, nullptr));
    wait();
  }
  void copy(void* to, const void* from, size_t bytes) override {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, nullptr));
  }
  void wait() override { check(cudaStreamSynchronize(nullptr)); }
};

#if defined(PARE_CUDA_EMULATED)

class Emulated : public Gpu {
 public:
  Emulated(std::string order_name, emulator::Settings settings)
      : order_name_(std::move(order_name)), settings_(settings) {}
  std::string name() const override { return "emulated, threads " + order_name_; }
  void prepare() override { emulator::settings() = settings_; }
  bool runs_large() const override { return settings_.order == emulator::Order::normal; }

 private:
  std::string order_name_;
  emulator::Settings settings_;
};

std::vector<std::unique_ptr<TwinDevice>> make_devices() {
  std::vector<std::unique_ptr<TwinDevice>> list;
  list.push_back(std::make_unique<Emulated>("in order", emulator::Settings{emulator::Order::normal, 0, 2}));
  list.push_back(std::make_unique<Emulated>("reversed", emulator::Settings{emulator::Order::reversed, 0, 1}));
  list.push_back(std::make_unique<Emulated>("shuffled", emulator::Settings{emulator::Order::random, 7, 3}));
  return list;
}

#else

class Real : public Gpu {
 public:
  explicit Real(std::string card) : card_(std::move(card)) {}
  std::string name() const override { return card_; }

 private:
  std::string card_;
};

std::vector<std::unique_ptr<TwinDevice>> make_devices() {
  std::vector<std::unique_ptr<TwinDevice>> list;
  int count = 0;
  if (const cudaError_t status = cudaGetDeviceCount(&count); status != cudaSuccess || count == 0) {
    const char* required = std::getenv("PARE_TEST_REQUIRE_CUDA");
    if (required != nullptr && std::string(required) == "1")
      throw std::runtime_error(std::string("PARE_TEST_REQUIRE_CUDA=1, but there is no GPU: ") +
                               cudaGetErrorString(status));
    std::printf("real CUDA rows: skipped (%s)\n", cudaGetErrorString(status));
    return list;
  }
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, 0));
  list.push_back(std::make_unique<Real>(properties.name));
  return list;
}

#endif

}  // namespace

const std::vector<std::unique_ptr<TwinDevice>>& twin_devices() {
  static const std::vector<std::unique_ptr<TwinDevice>> devices = make_devices();
  return devices;
}

}  // namespace pare::test
