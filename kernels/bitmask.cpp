#include "kernels/bitmask.hpp"

#include <bit>
#include <cstring>
#include <type_traits>

#include "kernels/blocks.hpp"

namespace pare::kernels {
namespace {

// Eight bytes of 0 or 1 to eight bits, the first byte lowest: the product gathers bit 8 i at bit 56 + i.
uint8_t pack_word(const uint8_t* mask) {
  uint64_t word;
  memcpy(&word, mask, sizeof word);
  return static_cast<uint8_t>((word * 0x0102040810204080u) >> 56);
}

void unpack_word(uint8_t bits, uint8_t* mask) {
  const uint64_t spread = (bits * 0x0101010101010101u) & 0x8040201008040201u;
  const uint64_t word = ((spread + 0x7f7f7f7f7f7f7f7fu) >> 7) & 0x0101010101010101u;
  memcpy(mask, &word, sizeof word);
}

// Ones among the bits [begin, end) of one block; begin is a multiple of 8.
int64_t count_range(const uint8_t* bits, int64_t begin, int64_t end) {
  int64_t count = 0;
  int64_t i = begin;
  for (; i + 64 <= end; i += 64) {
    uint64_t word;
    memcpy(&word, bits + i / 8, sizeof word);
    count += std::popcount(word);
  }
  for (; i < end; ++i) count += bits[i / 8] >> (i % 8) & 1;
  return count;
}

// Ones before each block of `block_elements` bits, and at the end their total.
std::vector<int64_t> ones_before_blocks(const uint8_t* bits, int64_t size) {
  std::vector<int64_t> before(static_cast<size_t>((size + block_elements - 1) / block_elements) + 1);
  parallel_blocks(size, block_elements, [&](int64_t block, int64_t begin, int64_t end) {
    before[static_cast<size_t>(block) + 1] = count_range(bits, begin, end);
  });
  for (size_t b = 1; b < before.size(); ++b) before[b] += before[b - 1];
  return before;
}

template <class Element>
void nonzero_block(const Element* values, int64_t begin, int64_t end, uint8_t* bits) {
  for (int64_t i = begin; i < end; i += 8) {
    uint32_t byte = 0;
    for (int64_t bit = 0; bit < std::min<int64_t>(8, end - i); ++bit) byte |= (values[i + bit] != 0 ? 1u : 0u) << bit;
    bits[i / 8] = static_cast<uint8_t>(byte);
  }
}

template <class Element>
void gather_block(const Element* values, int64_t begin, int64_t end, const uint8_t* bits, Element* kept) {
  for (int64_t i = begin; i < end; i += 8) {
    uint32_t byte = bits[i / 8];
    if (end - i < 8) byte &= (1u << (end - i)) - 1;
    for (; byte != 0; byte &= byte - 1) *kept++ = values[i + std::countr_zero(byte)];
  }
}

template <class Element>
void scatter_block(const Element* kept, int64_t begin, int64_t end, const uint8_t* bits, Element* values) {
  memset(values + begin, 0, static_cast<size_t>(end - begin) * sizeof(Element));
  for (int64_t i = begin; i < end; i += 8) {
    uint32_t byte = bits[i / 8];
    if (end - i < 8) byte &= (1u << (end - i)) - 1;
    for (; byte != 0; byte &= byte - 1) values[i + std::countr_zero(byte)] = *kept++;
  }
}

// Calls body with a value of the unsigned integer type of that size.
template <class Body>
void with_element(int element_size, const Body& body) {
  switch (element_size) {
    case 1:
      body(uint8_t{});
      break;
    case 2:
      body(uint16_t{});
      break;
    case 4:
      body(uint32_t{});
      break;
    default:
      body(uint64_t{});
      break;
  }
}

void check(const char* function, int64_t size, const void* first, const void* second, int element_size = 1) {
  check_tensor(function, 0, size, first, "input");
  check_tensor(function, 0, size, second, "output or bits");
  if (element_size != 1 && element_size != 2 && element_size != 4 && element_size != 8)
    fail_run("{}: unsupported element size (got {}, expected 1, 2, 4 or 8)", function, element_size);
}

}  // namespace

void pack_bits(Device device, const uint8_t* mask, int64_t size, uint8_t* bits) {
  check("pack_bits", size, mask, bits);
  device.cuda ? cuda::pack_bits(device.stream, mask, size, bits) : cpu::pack_bits(mask, size, bits);
}

void unpack_bits(Device device, const uint8_t* bits, int64_t size, uint8_t* mask) {
  check("unpack_bits", size, bits, mask);
  device.cuda ? cuda::unpack_bits(device.stream, bits, size, mask) : cpu::unpack_bits(bits, size, mask);
}

void nonzero_bits(Device device, const void* values, int element_size, int64_t size, uint8_t* bits) {
  check("nonzero_bits", size, values, bits, element_size);
  device.cuda ? cuda::nonzero_bits(device.stream, values, element_size, size, bits)
              : cpu::nonzero_bits(values, element_size, size, bits);
}

int64_t gather_kept(Device device, const void* values, int element_size, int64_t size, const uint8_t* bits,
                    void* kept) {
  check("gather_kept", size, values, bits, element_size);
  return device.cuda ? cuda::gather_kept(device.stream, values, element_size, size, bits, kept)
                     : cpu::gather_kept(values, element_size, size, bits, kept);
}

void scatter_kept(Device device, const void* kept, int element_size, int64_t size, const uint8_t* bits, void* values) {
  check("scatter_kept", size, bits, values, element_size);
  device.cuda ? cuda::scatter_kept(device.stream, kept, element_size, size, bits, values)
              : cpu::scatter_kept(kept, element_size, size, bits, values);
}

int64_t count_bits(Device device, const uint8_t* bits, int64_t size) {
  check("count_bits", size, bits, bits);
  return device.cuda ? cuda::count_bits(device.stream, bits, size) : cpu::count_bits(bits, size);
}

namespace cpu {

void pack_bits(const uint8_t* mask, int64_t size, uint8_t* bits) {
  parallel_blocks(size, block_elements, [&](int64_t, int64_t begin, int64_t end) {
    int64_t i = begin;
    for (; i + 8 <= end; i += 8) bits[i / 8] = pack_word(mask + i);
    if (i == end) return;
    uint8_t last[8] = {};
    memcpy(last, mask + i, static_cast<size_t>(end - i));
    bits[i / 8] = pack_word(last);
  });
}

void unpack_bits(const uint8_t* bits, int64_t size, uint8_t* mask) {
  parallel_blocks(size, block_elements, [&](int64_t, int64_t begin, int64_t end) {
    int64_t i = begin;
    for (; i + 8 <= end; i += 8) unpack_word(bits[i / 8], mask + i);
    for (; i < end; ++i) mask[i] = bits[i / 8] >> (i % 8) & 1;
  });
}

void nonzero_bits(const void* values, int element_size, int64_t size, uint8_t* bits) {
  with_element(element_size, [&](auto element) {
    const auto* typed = static_cast<const decltype(element)*>(values);
    parallel_blocks(size, block_elements,
                    [&](int64_t, int64_t begin, int64_t end) { nonzero_block(typed, begin, end, bits); });
  });
}

int64_t gather_kept(const void* values, int element_size, int64_t size, const uint8_t* bits, void* kept) {
  const std::vector<int64_t> before = ones_before_blocks(bits, size);
  with_element(element_size, [&](auto element) {
    const auto* typed = static_cast<const decltype(element)*>(values);
    auto* out = static_cast<decltype(element)*>(kept);
    parallel_blocks(size, block_elements, [&](int64_t block, int64_t begin, int64_t end) {
      gather_block(typed, begin, end, bits, out + before[static_cast<size_t>(block)]);
    });
  });
  return before.back();
}

void scatter_kept(const void* kept, int element_size, int64_t size, const uint8_t* bits, void* values) {
  const std::vector<int64_t> before = ones_before_blocks(bits, size);
  with_element(element_size, [&](auto element) {
    const auto* typed = static_cast<const decltype(element)*>(kept);
    auto* out = static_cast<decltype(element)*>(values);
    parallel_blocks(size, block_elements, [&](int64_t block, int64_t begin, int64_t end) {
      scatter_block(typed + before[static_cast<size_t>(block)], begin, end, bits, out);
    });
  });
}

int64_t count_bits(const uint8_t* bits, int64_t size) { return ones_before_blocks(bits, size).back(); }

}  // namespace cpu
}  // namespace pare::kernels
