#include "kernels/compare_twins.hpp"
#include "src/core/error.hpp"
#include "tests/support/twin_cases.hpp"

namespace pare::test {
namespace {

// A device's memory that can change results on their way to the host, or fail.
class Memory : public kernels::DeviceMemory {
 public:
  explicit Memory(TwinDevice& device) : device_(device) {}
  void* allocate(size_t bytes) override {
    if (fails) fail_run("no memory");
    ++allocated;
    return device_.allocate(bytes);
  }
  void release(void* data) override {
    --allocated;
    device_.release(data);
  }
  void copy_in(void* to, const void* from_host, size_t bytes) override { device_.copy_in(to, from_host, bytes); }
  void copy_out(void* to_host, const void* from, size_t bytes) override {
    device_.copy_out(to_host, from, bytes);
    if (flips_last_bit) static_cast<uint8_t*>(to_host)[bytes - 1] ^= 1;
  }

  bool flips_last_bit = false, fails = false;
  int64_t allocated = 0;

 private:
  TwinDevice& device_;
};

constexpr std::array<int64_t, 4> sizes = {1, 33, 64, 4097};

}  // namespace

TEST_CASE("compare_twins: every kernel of every device equals its CPU twin") {
  on_every_device([](TwinDevice& device) {
    Memory memory(device);
    const auto rows = compare_twins(device.device(), memory, sizes);
    CHECK(rows.size() == 9);
    for (const auto& row : rows) {
      INFO(row.kernel);
      CHECK(row.compared > 20);
      CHECK(row.first_difference == "");
    }
    CHECK(memory.allocated == 0);
  });
}

TEST_CASE("compare_twins: one wrong bit of a result is found, in every kernel") {
  on_every_device([](TwinDevice& device) {
    Memory memory(device);
    memory.flips_last_bit = true;
    // The results of threshold are numbers on the host.
    for (const auto& row : compare_twins(device.device(), memory, sizes))
      CHECK(row.first_difference.empty() == (row.kernel == std::string("threshold")));
  });
}

TEST_CASE("compare_twins: an error of the device is a row, and nothing leaks") {
  on_every_device([](TwinDevice& device) {
    Memory memory(device);
    memory.fails = true;
    for (const auto& row : compare_twins(device.device(), memory, sizes))
      CHECK(row.first_difference == "1 elements: no memory");
    CHECK(memory.allocated == 0);
  });
}

}  // namespace pare::test
