#include "kernels/quantize.hpp"

#include "kernels/blocks.hpp"
#include "kernels/quantize_math.hpp"

namespace pare::kernels {
namespace {

struct Bounds {
  int lowest, highest;
};

// Neighbours with one scale.
PARE_SIMD void quantize_range(const float* values, int64_t count, float scale, int zero_point, Bounds bounds,
                              uint8_t* quantized) {
  for (int64_t i = 0; i < count; ++i)
    quantized[i] = quantize_one(values[i], scale, zero_point, bounds.lowest, bounds.highest);
}

PARE_SIMD void dequantize_range(const uint8_t* quantized, int64_t count, float scale, int zero_point, bool is_signed,
                                float* values) {
  const IntegerType type = is_signed ? IntegerType::int8 : IntegerType::uint8;
  for (int64_t i = 0; i < count; ++i) values[i] = dequantize_one(integer_value(quantized[i], type), scale, zero_point);
}

// Neighbours with a scale each.
PARE_SIMD void quantize_row(const float* values, int64_t count, const float* scale, const uint8_t* zero_point,
                            IntegerType type, Bounds bounds, uint8_t* quantized) {
  if (zero_point == nullptr) {
    for (int64_t i = 0; i < count; ++i)
      quantized[i] = quantize_one(values[i], scale[i], 0, bounds.lowest, bounds.highest);
  } else {
    for (int64_t i = 0; i < count; ++i)
      quantized[i] =
          quantize_one(values[i], scale[i], integer_value(zero_point[i], type), bounds.lowest, bounds.highest);
  }
}

PARE_SIMD void dequantize_row(const uint8_t* quantized, int64_t count, const float* scale, const uint8_t* zero_point,
                              IntegerType type, float* values) {
  if (zero_point == nullptr) {
    for (int64_t i = 0; i < count; ++i) values[i] = dequantize_one(integer_value(quantized[i], type), scale[i], 0);
  } else {
    for (int64_t i = 0; i < count; ++i)
      values[i] = dequantize_one(integer_value(quantized[i], type), scale[i], integer_value(zero_point[i], type));
  }
}

// Calls one(element, count, scale index) for runs of neighbours that share a scale, or row(...) for runs with a scale
// each.
template <class One, class Row>
void for_each_run(const ScaleLayout& layout, const One& one, const Row& row) {
  const auto [outer, length, inner] = layout.view;
  const bool each = layout.scale_inner && inner > 1;
  const int64_t rows_per_run = each ? 1 : layout.block;  // along `length`
  const int64_t runs = each ? length : layout.blocks();
  const int64_t grain = std::max<int64_t>(1, block_elements / (rows_per_run * inner));
  if (!each && outer * runs == 1) {  // one scale for the whole tensor
    parallel_for(0, length * inner, block_elements, [&](int64_t begin, int64_t end) { one(begin, end - begin, 0); });
    return;
  }
  parallel_for(0, outer * runs, grain, [&, length = length, inner = inner](int64_t begin, int64_t end) {
    for (int64_t run = begin; run < end; ++run) {
      const int64_t o = run / runs, place = run % runs * rows_per_run;
      const int64_t count = std::min(rows_per_run, length - place) * inner;
      const int64_t element = (o * length + place) * inner;
      const int64_t scale = layout.scale_index(o, place, 0);
      each ? row(element, count, scale) : one(element, count, scale);
    }
  });
}

void check(const char* function, const ScaleLayout& layout, const float* scale, const void* input, const void* output) {
  const AxisView& view = layout.view;
  if (view.outer < 0 || view.length < 0 || view.inner < 0 || layout.block < 1)
    fail_run("{}: bad layout (got {} x {} x {} in blocks of {})", function, view.outer, view.length, view.inner,
             layout.block);
  check_tensor(function, 0, layout.size(), input, "input");
  check_tensor(function, 0, layout.size(), output, "output");
  check_tensor(function, 0, layout.size(), scale, "scale");
}

void check_nibbles(const char* function, int64_t size, const void* input, const void* output) {
  check_tensor(function, 0, size, input, "input");
  check_tensor(function, 0, size, output, "output");
}

PARE_SIMD void pack_range(const uint8_t* integers, int64_t begin, int64_t end, uint8_t* packed) {
  for (int64_t b = begin; b < end; ++b)
    packed[b] = static_cast<uint8_t>((integers[2 * b] & 15u) | (integers[2 * b + 1] & 15u) << 4);
}

PARE_SIMD void unpack_range(const uint8_t* packed, int64_t begin, int64_t end, bool is_signed, uint8_t* integers) {
  for (int64_t b = begin; b < end; ++b) {
    integers[2 * b] = extend_nibble(packed[b], is_signed);
    integers[2 * b + 1] = extend_nibble(packed[b] >> 4, is_signed);
  }
}

}  // namespace

void quantize(Device device, const float* values, const ScaleLayout& layout, const float* scale,
              const uint8_t* zero_point, IntegerType type, uint8_t* quantized) {
  check("quantize", layout, scale, values, quantized);
  if (layout.size() == 0) return;
  device.cuda ? cuda::quantize(device.stream, values, layout, scale, zero_point, type, quantized)
              : cpu::quantize(values, layout, scale, zero_point, type, quantized);
}

void dequantize(Device device, const uint8_t* quantized, const ScaleLayout& layout, const float* scale,
                const uint8_t* zero_point, IntegerType type, float* values) {
  check("dequantize", layout, scale, quantized, values);
  if (layout.size() == 0) return;
  device.cuda ? cuda::dequantize(device.stream, quantized, layout, scale, zero_point, type, values)
              : cpu::dequantize(quantized, layout, scale, zero_point, type, values);
}

void pack_nibbles(Device device, const uint8_t* integers, int64_t size, uint8_t* packed) {
  check_nibbles("pack_nibbles", size, integers, packed);
  if (size == 0) return;
  device.cuda ? cuda::pack_nibbles(device.stream, integers, size, packed) : cpu::pack_nibbles(integers, size, packed);
}

void unpack_nibbles(Device device, const uint8_t* packed, int64_t size, IntegerType type, uint8_t* integers) {
  check_nibbles("unpack_nibbles", size, packed, integers);
  if (type != IntegerType::int4 && type != IntegerType::uint4) fail_run("unpack_nibbles: not a 4-bit type");
  if (size == 0) return;
  device.cuda ? cuda::unpack_nibbles(device.stream, packed, size, type, integers)
              : cpu::unpack_nibbles(packed, size, type, integers);
}

namespace cpu {

void quantize(const float* values, const ScaleLayout& layout, const float* scale, const uint8_t* zero_point,
              IntegerType type, uint8_t* quantized) {
  const Bounds bounds{lowest_integer(type), highest_integer(type)};
  for_each_run(
      layout,
      [&](int64_t i, int64_t count, int64_t s) {
        const int zero = zero_point == nullptr ? 0 : integer_value(zero_point[s], type);
        quantize_range(values + i, count, scale[s], zero, bounds, quantized + i);
      },
      [&](int64_t i, int64_t count, int64_t s) {
        const uint8_t* zeros = zero_point == nullptr ? nullptr : zero_point + s;
        quantize_row(values + i, count, scale + s, zeros, type, bounds, quantized + i);
      });
}

void dequantize(const uint8_t* quantized, const ScaleLayout& layout, const float* scale, const uint8_t* zero_point,
                IntegerType type, float* values) {
  const bool is_signed = lowest_integer(type) < 0;
  for_each_run(
      layout,
      [&](int64_t i, int64_t count, int64_t s) {
        const int zero = zero_point == nullptr ? 0 : integer_value(zero_point[s], type);
        dequantize_range(quantized + i, count, scale[s], zero, is_signed, values + i);
      },
      [&](int64_t i, int64_t count, int64_t s) {
        const uint8_t* zeros = zero_point == nullptr ? nullptr : zero_point + s;
        dequantize_row(quantized + i, count, scale + s, zeros, type, values + i);
      });
}

void pack_nibbles(const uint8_t* integers, int64_t size, uint8_t* packed) {
  parallel_for(0, size / 2, block_elements,
               [&](int64_t begin, int64_t end) { pack_range(integers, begin, end, packed); });
  if (size % 2 != 0) packed[size / 2] = integers[size - 1] & 15;
}

void unpack_nibbles(const uint8_t* packed, int64_t size, IntegerType type, uint8_t* integers) {
  const bool is_signed = type == IntegerType::int4;
  parallel_for(0, size / 2, block_elements,
               [&](int64_t begin, int64_t end) { unpack_range(packed, begin, end, is_signed, integers); });
  if (size % 2 != 0) integers[size - 1] = extend_nibble(packed[size / 2], is_signed);
}

}  // namespace cpu
}  // namespace pare::kernels
