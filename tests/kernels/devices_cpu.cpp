#include <cstdlib>

#include "tests/support/twin_cases.hpp"

namespace pare::test {
namespace {

class Cpu : public TwinDevice {
 public:
  std::string name() const override { return "cpu"; }
  kernels::Device device() const override { return {}; }
  void* allocate(size_t bytes) override { return std::aligned_alloc(256, (bytes + 255) / 256 * 256); }
  void release(void* data) override { std::free(data); }
  void copy_in(void* to, const void* from_host, size_t bytes) override { memcpy(to, from_host, bytes); }
  void copy_out(void* to_host, const void* from, size_t bytes) override { memcpy(to_host, from, bytes); }
};

}  // namespace

const std::vector<std::unique_ptr<TwinDevice>>& twin_devices() {
  static const auto devices = [] {
    std::vector<std::unique_ptr<TwinDevice>> list;
    list.push_back(std::make_unique<Cpu>());
    return list;
  }();
  return devices;
}

}  // namespace pare::test
