#include "kernels/bitmask.hpp"
#include "src/core/error.hpp"
#include "tests/support/twin_cases.hpp"

namespace pare::test {
namespace {

std::vector<uint8_t> random_mask(int64_t size, int keep_percent) {
  std::mt19937_64 random(static_cast<uint64_t>(size * 101 + keep_percent));
  std::vector<uint8_t> mask(static_cast<size_t>(size));
  for (uint8_t& kept : mask) kept = random() % 100 < static_cast<uint64_t>(keep_percent) ? 1 : 0;
  return mask;
}

// Bits by definition.
std::vector<uint8_t> to_bits(const std::vector<uint8_t>& mask) {
  std::vector<uint8_t> bits((mask.size() + 7) / 8);
  for (size_t i = 0; i < mask.size(); ++i) bits[i / 8] = static_cast<uint8_t>(bits[i / 8] | mask[i] << (i % 8));
  return bits;
}

template <class Element>
void check_round_trip(TwinDevice& device, int64_t size, int keep_percent, size_t shift) {
  const std::vector<uint8_t> mask = random_mask(size, keep_percent);
  std::mt19937_64 random(1);
  std::vector<Element> values(mask.size()), kept, masked(mask.size());
  for (size_t i = 0; i < mask.size(); ++i) {
    values[i] = static_cast<Element>(random() | 1);
    if (mask[i] == 0) continue;
    kept.push_back(values[i]);
    masked[i] = values[i];
  }
  const int element_size = sizeof(Element);
  const TwinBuffer<uint8_t> bits(device, to_bits(mask), shift);
  const TwinBuffer<Element> input(device, values, shift);
  const TwinBuffer<Element> compact(device, std::vector<Element>(kept.size()), shift);
  const TwinBuffer<Element> output(device, std::vector<Element>(mask.size(), Element{7}), shift);
  CHECK(gather_kept(device.device(), input.get(), element_size, size, bits.get(), compact.get()) ==
        static_cast<int64_t>(kept.size()));
  check_same_bytes(compact.read(), kept);
  CHECK(count_bits(device.device(), bits.get(), size) == static_cast<int64_t>(kept.size()));
  scatter_kept(device.device(), compact.get(), element_size, size, bits.get(), output.get());
  check_same_bytes(output.read(), masked);

  const TwinBuffer<Element> sparse(device, masked, shift);
  const TwinBuffer<uint8_t> found(device, std::vector<uint8_t>(bits.initial().size(), 0xaa), shift);
  nonzero_bits(device.device(), sparse.get(), element_size, size, found.get());
  check_same_bytes(found.read(), bits.initial());
}

}  // namespace

TEST_CASE("bitmask: packs and unpacks every size and alignment, unused bits are zero") {
  on_every_device([](TwinDevice& device) {
    for (const int64_t size : sizes_for(device)) {
      for (const size_t shift : {0, 3}) {
        INFO("size " << size << ", shift " << shift);
        const TwinBuffer<uint8_t> mask(device, random_mask(size, 40), shift);
        const std::vector<uint8_t> expected = to_bits(mask.initial());
        const TwinBuffer<uint8_t> bits(device, std::vector<uint8_t>(expected.size(), 0xff), shift);
        pack_bits(device.device(), mask.get(), size, bits.get());
        check_same_bytes(bits.read(), expected);
        const TwinBuffer<uint8_t> back(device, std::vector<uint8_t>(mask.initial().size(), 9), shift);
        unpack_bits(device.device(), bits.get(), size, back.get());
        check_same_bytes(back.read(), mask.initial());
      }
    }
  });
}

TEST_CASE("bitmask: gather and scatter are inverse for every element size, density and length") {
  on_every_device([](TwinDevice& device) {
    for (const int64_t size : sizes_for(device)) {
      for (const int keep_percent : {0, 20, 100}) {
        if (size > 4097 && keep_percent != 20) continue;
        INFO("size " << size << ", kept " << keep_percent << " %");
        check_round_trip<uint32_t>(device, size, keep_percent, 1);
        if (size > 4097 || keep_percent != 20) continue;
        check_round_trip<uint8_t>(device, size, keep_percent, 0);
        check_round_trip<uint16_t>(device, size, keep_percent, 1);
        check_round_trip<uint64_t>(device, size, keep_percent, 0);
      }
    }
  });
}

TEST_CASE("bitmask: minus zero is kept, unused high bits are ignored") {
  on_every_device([](TwinDevice& device) {
    const TwinBuffer<float> values(device, {0.0f, -0.0f, 1.0f});
    const TwinBuffer<uint8_t> bits(device, {0});
    nonzero_bits(device.device(), values.get(), 4, 3, bits.get());
    CHECK(bits.read()[0] == 0b110);

    const TwinBuffer<uint8_t> dirty(device, {0b11111110});
    const TwinBuffer<float> kept(device, std::vector<float>(2));
    CHECK(gather_kept(device.device(), values.get(), 4, 3, dirty.get(), kept.get()) == 2);
    check_same_bytes(kept.read(), {-0.0f, 1.0f});
  });
}

TEST_CASE("bitmask: an element size that is not 1, 2, 4 or 8 is refused") {
  on_every_device([](TwinDevice& device) {
    const TwinBuffer<uint8_t> bytes(device, {1, 2, 3});
    CHECK_THROWS_AS(nonzero_bits(device.device(), bytes.get(), 3, 1, bytes.get()), Error);
  });
}

}  // namespace pare::test
