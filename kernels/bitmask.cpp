#include "kernels/bitmask.hpp"

#include <bit>
#include <cstring>
#include <type_traits>

#include "kernels/blocks.hpp"

namespace pare::kernels {
namespace {

// Eight bytes of 0 or 1 to eight bits, the first byte lowest: the product gathers bit 8 i at bit 56 + i.
PARE_SIMD void pack_words(const uint8_t* mask, int64_t words, uint8_t* bits) {
  for (int64_t w = 0; w < words; ++w) {
    uint64_t word;
    memcpy(&word, mask + 8 * w, sizeof word);
    bits[w] = static_cast<uint8_t>((word * 0x0102040810204080u) >> 56);
  }
}

PARE_SIMD void unpack_words(const uint8_t* bits, int64_t words, uint8_t* mask) {
  for (int64_t w = 0; w < words; ++w) {
    const uint64_t spread = (bits[w] * 0x0101010101010101u) & 0x8040201008040201u;
    const uint64_t word = ((spread + 0x7f7f7f7f7f7f7f7fu) >> 7) & 0x0101010101010101u;
    memcpy(mask + 8 * w, &word, sizeof word);
  }
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

// The byte of bits of elements [i, i + 8), of which those from `end` on count as zeros.
uint32_t bits_at(const uint8_t* bits, int64_t i, int64_t end) {
  return end - i < 8 ? bits[i / 8] & ((1u << (end - i)) - 1) : bits[i / 8];
}

// Random bits would mispredict a branch for most kept elements, so all eight of a byte are stored or loaded, and the
// place in the compact array moves on by the bit. Near the end of the compact range, where that would touch memory
// beyond it, bits are taken one by one.
template <class Element>
void gather_block(const Element* values, int64_t begin, int64_t end, const uint8_t* bits, Element* kept,
                  Element* kept_end) {
  for (int64_t i = begin; i < end; i += 8) {
    uint32_t byte = bits_at(bits, i, end);
    if (kept_end - kept >= 8 && end - i >= 8) {
      for (int bit = 0; bit < 8; ++bit) {
        *kept = values[i + bit];
        kept += byte >> bit & 1;
      }
    } else {
      for (; byte != 0; byte &= byte - 1) *kept++ = values[i + std::countr_zero(byte)];
    }
  }
}

template <class Element>
void scatter_block(const Element* kept, const Element* kept_end, int64_t begin, int64_t end, const uint8_t* bits,
                   Element* values) {
  for (int64_t i = begin; i < end; i += 8) {
    uint32_t byte = bits_at(bits, i, end);
    if (kept_end - kept > 8 && end - i >= 8) {
      for (int bit = 0; bit < 8; ++bit) {
        const Element one = byte >> bit & 1;
        values[i + bit] = static_cast<Element>(*kept * one);
        kept += one;
      }
    } else {
      for (int64_t j = i; j < std::min(i + 8, end); ++j, byte >>= 1) values[j] = (byte & 1) != 0 ? *kept++ : Element{0};
    }
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
    const int64_t words = (end - begin) / 8, rest = begin + 8 * words;
    pack_words(mask + begin, words, bits + begin / 8);
    if (rest == end) return;
    uint8_t last[8] = {};
    memcpy(last, mask + rest, static_cast<size_t>(end - rest));
    pack_words(last, 1, bits + rest / 8);
  });
}

void unpack_bits(const uint8_t* bits, int64_t size, uint8_t* mask) {
  parallel_blocks(size, block_elements, [&](int64_t, int64_t begin, int64_t end) {
    const int64_t words = (end - begin) / 8;
    unpack_words(bits + begin / 8, words, mask + begin);
    for (int64_t i = begin + 8 * words; i < end; ++i) mask[i] = bits[i / 8] >> (i % 8) & 1;
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
      const size_t b = static_cast<size_t>(block);
      gather_block(typed, begin, end, bits, out + before[b], out + before[b + 1]);
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
      const size_t b = static_cast<size_t>(block);
      scatter_block(typed + before[b], typed + before[b + 1], begin, end, bits, out);
    });
  });
}

int64_t count_bits(const uint8_t* bits, int64_t size) { return ones_before_blocks(bits, size).back(); }

}  // namespace cpu
}  // namespace pare::kernels
