#include <algorithm>

#include "kernels/quantize.hpp"
#include "src/core/error.hpp"
#include "tests/support/twin_cases.hpp"

namespace pare::test {
namespace {

using kernels::IntegerType;
using kernels::ScaleLayout;

constexpr IntegerType all_types[] = {IntegerType::int8, IntegerType::uint8, IntegerType::int4, IntegerType::uint4};

// ONNX QuantizeLinear: the quotient in fp32, the rest exact.
int expected_integer(float value, float scale, int zero_point, IntegerType type) {
  if (std::isnan(value / scale)) return zero_point;
  const double rounded = std::nearbyint(double{value / scale}) + zero_point;  // round half to even is the default mode
  return static_cast<int>(std::clamp(rounded, double{lowest_integer(type) * 1.0}, double{highest_integer(type) * 1.0}));
}

struct LayoutCase {
  const char* name;
  ScaleLayout layout;
  int64_t scales;
};

const std::vector<LayoutCase> layouts = {
    {"per tensor", {{1, 5003, 1}, 5003}, 1},
    {"per channel, axis 0", {{1, 7, 45}, 1, false, false}, 7},
    {"per channel, axis 1", {{5, 7, 9}, 1, false, false}, 7},
    {"per channel, last axis", {{11, 13, 1}, 1, false, false}, 13},
    {"blocks along K of [K, N]", {{1, 70, 33}, 32}, 3 * 33},
    {"blocks along K of [N, K]", {{33, 70, 1}, 32, true}, 3 * 33},
    {"blocks with a batch", {{3, 10, 5}, 4, true, true}, 3 * 3 * 5},
    {"empty", {{1, 0, 8}, 32}, 0},
};

int64_t scale_of(const ScaleLayout& layout, int64_t i) {
  const int64_t inner = i % layout.view.inner, place = i / layout.view.inner % layout.view.length;
  const int64_t outer = i / layout.view.inner / layout.view.length,
                blocks = (layout.view.length + layout.block - 1) / layout.block;
  int64_t index = place / layout.block;
  if (layout.scale_outer) index += outer * blocks;
  return layout.scale_inner ? index * layout.view.inner + inner : index;
}

}  // namespace

TEST_CASE("quantize: every type and layout follows QuantizeLinear and DequantizeLinear") {
  on_every_device([](TwinDevice& device) {
    for (const LayoutCase& c : layouts) {
      for (const IntegerType type : all_types) {
        for (const bool with_zero_point : {false, true}) {
          INFO(c.name << ", type " << static_cast<int>(type) << ", zero point " << with_zero_point);
          const int64_t size = c.layout.size();
          const size_t shift = with_zero_point ? 1 : 0;
          const TwinBuffer<float> values(device, make_values(Values::normal, size, 1), shift);
          std::vector<float> scales;
          std::vector<uint8_t> zeros;
          for (int64_t s = 0; s < c.scales; ++s) {
            scales.push_back(0.02f + 0.3f * static_cast<float>(s % 5));
            zeros.push_back(static_cast<uint8_t>(lowest_integer(type) + s % 13));
          }
          const TwinBuffer<float> scale(device, scales);
          const TwinBuffer<uint8_t> zero_point(device, zeros);
          const uint8_t* zero_pointer = with_zero_point ? zero_point.get() : nullptr;
          const TwinBuffer<uint8_t> quantized(device, std::vector<uint8_t>(static_cast<size_t>(size)), shift);
          const TwinBuffer<float> back(device, std::vector<float>(static_cast<size_t>(size)), shift);
          quantize(device.device(), values.get(), c.layout, scale.get(), zero_pointer, type, quantized.get());
          dequantize(device.device(), quantized.get(), c.layout, scale.get(), zero_pointer, type, back.get());

          std::vector<uint8_t> expected;
          std::vector<float> expected_back;
          for (int64_t i = 0; i < size; ++i) {
            const auto s = static_cast<size_t>(scale_of(c.layout, i));
            const int zero = !with_zero_point ? 0 : lowest_integer(type) < 0 ? static_cast<int8_t>(zeros[s]) : zeros[s];
            const int q = expected_integer(values.initial()[static_cast<size_t>(i)], scales[s], zero, type);
            expected.push_back(static_cast<uint8_t>(q));
            expected_back.push_back(static_cast<float>(double{scales[s]} * (q - zero)));
          }
          check_same_bytes(quantized.read(), expected);
          const std::vector<float> got_back = back.read();
          for (size_t i = 0; i < got_back.size(); ++i) CHECK(got_back[i] == expected_back[i]);
        }
      }
    }
  });
}

TEST_CASE("quantize: halves go to even, infinities to the ends, NaN to the zero point") {
  on_every_device([](TwinDevice& device) {
    const std::vector<float> list = {-2.5f,    -1.5f,     -0.5f,   0.5f,    1.5f,     2.5f,  0.49999997f,
                                     126.5f,   127.5f,    -127.5f, -128.5f, 1e9f,     -1e9f, 5e6f,
                                     INFINITY, -INFINITY, NAN,     8388609, -8388609, -0.0f};
    const TwinBuffer<float> values(device, list), one(device, {1.0f});
    const TwinBuffer<uint8_t> quantized(device, std::vector<uint8_t>(list.size())), zero(device, {3});
    quantize(device.device(), values.get(), {{1, values.size(), 1}, values.size()}, one.get(), zero.get(),
             IntegerType::int8, quantized.get());
    std::vector<uint8_t> expected;
    for (const float value : list)
      expected.push_back(static_cast<uint8_t>(expected_integer(value, 1.0f, 3, IntegerType::int8)));
    check_same_bytes(quantized.read(), expected);
    CHECK(quantized.read()[0] == 1);     // -2.5 -> -2
    CHECK(quantized.read()[16] == 3);    // NaN
    CHECK(quantized.read()[14] == 127);  // inf
  });
}

TEST_CASE("quantize: nibbles pack low half first and come back, every size and alignment") {
  on_every_device([](TwinDevice& device) {
    for (const int64_t size : sizes_for(device)) {
      for (const size_t shift : {0, 1}) {
        for (const IntegerType type : {IntegerType::int4, IntegerType::uint4}) {
          INFO("size " << size << ", shift " << shift);
          std::vector<uint8_t> integers, packed(static_cast<size_t>((size + 1) / 2));
          for (int64_t i = 0; i < size; ++i) {
            const int value = lowest_integer(type) + static_cast<int>(i * 7 / 3 % 16);
            integers.push_back(static_cast<uint8_t>(value));
            uint8_t& byte = packed[static_cast<size_t>(i / 2)];
            byte = static_cast<uint8_t>(byte | (value & 15) << (i % 2 * 4));
          }
          const TwinBuffer<uint8_t> input(device, integers, shift);
          const TwinBuffer<uint8_t> bytes(device, std::vector<uint8_t>(packed.size(), 0xaa), shift);
          const TwinBuffer<uint8_t> output(device, std::vector<uint8_t>(integers.size(), 0xaa), shift);
          pack_nibbles(device.device(), input.get(), size, bytes.get());
          check_same_bytes(bytes.read(), packed);
          unpack_nibbles(device.device(), bytes.get(), size, type, output.get());
          check_same_bytes(output.read(), integers);
        }
      }
    }
  });
}

TEST_CASE("quantize: bad layouts and types are refused") {
  on_every_device([](TwinDevice& device) {
    const TwinBuffer<float> values(device, {1.0f});
    const TwinBuffer<uint8_t> bytes(device, {1});
    CHECK_THROWS_AS(
        quantize(device.device(), values.get(), {{1, 1, 1}, 0}, values.get(), nullptr, IntegerType::int8, bytes.get()),
        Error);
    CHECK_THROWS_AS(
        quantize(device.device(), values.get(), {{1, 1, 1}, 1}, nullptr, nullptr, IntegerType::int8, bytes.get()),
        Error);
    CHECK_THROWS_AS(unpack_nibbles(device.device(), bytes.get(), 1, IntegerType::int8, bytes.get()), Error);
  });
}

}  // namespace pare::test
