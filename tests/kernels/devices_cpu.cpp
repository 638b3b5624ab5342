#include <cstdlib>
#include <cstring>

#include "src/core/threads.hpp"
#include "tests/support/twin_device.hpp"

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
  void copy(void* to, const void* from, size_t bytes) override {
    parallel_for(0, static_cast<int64_t>(bytes), int64_t{1} << 18, [&](int64_t begin, int64_t end) {
      memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin, static_cast<size_t>(end - begin));
    });
  }
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
