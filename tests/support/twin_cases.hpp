// One case table for the twins of a kernel. A test builds its inputs once and runs on every device of its executable:
// the CPU in test_base, the emulated GPU (three thread orders) in test_kernels_emulated, a real GPU in
// test_kernels_cuda. Each result is compared with an oracle that shares no code with the kernel, so all twins are equal
// to it and to each other.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/twin_device.hpp"

namespace pare::test {

// Runs body(device) for each of them as a doctest message context.
template <class Body>
void on_every_device(const Body& body) {
  for (const auto& device : twin_devices()) {
    INFO("device: " << device->name());
    device->prepare();
    body(*device);
  }
}

// Elements on a device, between guard bands that read() checks, `shift` elements past a 256-byte boundary.
template <class T>
class TwinBuffer {
 public:
  TwinBuffer(TwinDevice& device, const std::vector<T>& values, size_t shift = 0)
      : device_(device), values_(values), offset_(guard_bytes + shift * sizeof(T)) {
    std::vector<unsigned char> image(image_bytes(), guard_byte);
    if (!values.empty()) memcpy(image.data() + offset_, values.data(), values.size() * sizeof(T));
    data_ = device.allocate(image.size());
    device.copy_in(data_, image.data(), image.size());
  }
  ~TwinBuffer() { device_.release(data_); }
  TwinBuffer(const TwinBuffer&) = delete;
  TwinBuffer& operator=(const TwinBuffer&) = delete;

  T* get() const { return reinterpret_cast<T*>(static_cast<unsigned char*>(data_) + offset_); }
  int64_t size() const { return static_cast<int64_t>(values_.size()); }
  const std::vector<T>& initial() const { return values_; }

  // The contents now; fails the test if a byte outside was written.
  std::vector<T> read() const {
    std::vector<unsigned char> image(image_bytes());
    device_.copy_out(image.data(), data_, image.size());
    std::vector<T> values(values_.size());
    if (!values.empty()) memcpy(values.data(), image.data() + offset_, values.size() * sizeof(T));
    size_t touched = 0;
    for (size_t i = 0; i < image.size(); ++i)
      if ((i < offset_ || i >= offset_ + values.size() * sizeof(T)) && image[i] != guard_byte) ++touched;
    CHECK_MESSAGE(touched == 0, "bytes written outside of the buffer: " << touched);
    return values;
  }

 private:
  static constexpr size_t guard_bytes = 256;
  static constexpr unsigned char guard_byte = 0xfb;  // as a float: a large negative number
  size_t image_bytes() const { return offset_ + values_.size() * sizeof(T) + guard_bytes; }

  TwinDevice& device_;
  std::vector<T> values_;
  size_t offset_;
  void* data_;
};

inline const std::vector<int64_t> twin_sizes = {0, 1, 2, 3, 5, 7, 31, 32, 33, 255, 257, 1023, 4095, 4096, 4097, 9001};
inline constexpr int64_t large_size = (int64_t{1} << 20) + 1;

inline std::vector<int64_t> sizes_for(const TwinDevice& device) {
  std::vector<int64_t> sizes = twin_sizes;
  if (device.runs_large()) sizes.push_back(large_size);
  return sizes;
}

enum class Values { normal, positive, equal, zero, signed_zero, denormal, wide, infinite };
inline const std::vector<Values> all_values = {Values::normal,      Values::positive, Values::equal, Values::zero,
                                               Values::signed_zero, Values::denormal, Values::wide,  Values::infinite};

// Reproducible floats of that kind. `wide` covers all exponents, both signs; `infinite` has +-inf among normal values.
inline std::vector<float> make_values(Values kind, int64_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(size));
  for (float& value : values) {
    const uint64_t bits = random();
    switch (kind) {
      case Values::normal:
        value = normal(random);
        break;
      case Values::positive:
        value = std::fabs(normal(random) * normal(random));
        break;
      case Values::equal:
        value = 0.37f;
        break;
      case Values::zero:
        value = 0.0f;
        break;
      case Values::signed_zero:
        value = (bits & 1) != 0 ? 0.0f : -0.0f;
        break;
      case Values::denormal:
        value = static_cast<float>(bits % 1000) * std::numeric_limits<float>::denorm_min();
        break;
      case Values::wide:
        value = std::ldexp(1.0f + static_cast<float>(bits % 4096) / 4096, static_cast<int>(bits >> 20) % 140);
        if ((bits >> 60 & 1) != 0) value = -1 / value;
        break;
      case Values::infinite:
        value = bits % 7 == 0 ? std::numeric_limits<float>::infinity() : normal(random);
        if (bits % 11 == 0) value = -value;
        break;
    }
  }
  return values;
}

// Bitwise equality, so that NaN and signed zeros count. Fails the test with the first difference.
template <class T>
void check_same_bytes(const std::vector<T>& got, const std::vector<T>& expected) {
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    if (memcmp(&got[i], &expected[i], sizeof(T)) == 0) continue;
    FAIL_CHECK("element " << i << " of " << got.size() << ": got " << +got[i] << ", expected " << +expected[i]);
    return;
  }
}

}  // namespace pare::test
