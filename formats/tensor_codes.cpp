#include "formats/tensor_codes.hpp"

#include <algorithm>
#include <bit>
#include <charconv>

#include "formats/rans.hpp"
#include "src/core/error.hpp"

namespace pare {
namespace {

constexpr int most_bits = 32;

bool is_signed(DType dtype) {
  return dtype == DType::int4 || dtype == DType::int8 || dtype == DType::int16 || dtype == DType::int32;
}

bool is_integer(DType dtype) {
  return is_signed(dtype) || dtype == DType::uint4 || dtype == DType::uint8 || dtype == DType::uint16 ||
         dtype == DType::uint32 || dtype == DType::boolean;
}

uint32_t low_bits(int bits) { return bits == most_bits ? ~0u : (1u << bits) - 1; }

// Codes of `bits` bits one behind the other, lowest bit first; unused bits of the last byte are 0.
Bytes pack(const Codes& codes, int bits) {
  std::byte* target = nullptr;
  Bytes packed = Bytes::allocate((codes.size() * static_cast<size_t>(bits) + 7) / 8, &target);
  uint64_t pending = 0;
  int filled = 0;
  for (const uint32_t code : codes) {
    pending |= uint64_t{code & low_bits(bits)} << filled;
    for (filled += bits; filled >= 8; filled -= 8, pending >>= 8) *target++ = static_cast<std::byte>(pending);
  }
  if (filled > 0) *target = static_cast<std::byte>(pending);
  return packed;
}

Codes unpack(const Bytes& packed, int64_t count, int bits) {
  // Far too many elements could overflow in bits.
  const auto available = static_cast<int64_t>(packed.size());
  if (count / 8 > available || (count * bits + 7) / 8 != available)
    fail_input("the values do not fit (got {} bytes, expected {} elements of {} bits)", available, count, bits);
  Codes codes(static_cast<size_t>(count));
  const std::byte* source = packed.data();
  uint64_t pending = 0;
  int filled = 0;
  for (uint32_t& code : codes) {
    for (; filled < bits; filled += 8) pending |= uint64_t{std::to_integer<uint8_t>(*source++)} << filled;
    code = static_cast<uint32_t>(pending) & low_bits(bits);
    pending >>= bits;
    filled -= bits;
  }
  return codes;
}

// Floats with the sign behind the mantissa, so that the exponent is in front: it repeats, the sign does not.
uint32_t sign_last(uint32_t code, int bits) { return (code << 1 | code >> (bits - 1)) & low_bits(bits); }
uint32_t sign_first(uint32_t code, int bits) { return (code >> 1 | code << (bits - 1)) & low_bits(bits); }

void for_floats(DType dtype, Codes& codes, uint32_t (*rotate)(uint32_t, int)) {
  if (is_integer(dtype)) return;
  for (uint32_t& code : codes) code = rotate(code, dtype_bits(dtype));
}

// The n of "packed:n" or "rans:n"; 0 for other texts.
int bits_in(const std::string& values) {
  const size_t colon = values.find(':');
  if (colon == std::string::npos) return 0;
  const std::string form = values.substr(0, colon);
  if (form != "packed" && form != "rans") return 0;
  int bits = 0;
  const char* end = values.data() + values.size();
  const auto [stop, error] = std::from_chars(values.data() + colon + 1, end, bits);
  return error == std::errc() && stop == end && bits >= 1 && bits <= most_bits ? bits : 0;
}

}  // namespace

bool has_codes(DType dtype) { return dtype_bits(dtype) > 0 && dtype_bits(dtype) <= most_bits; }

Codes codes_of(const Tensor& tensor) { return unpack(tensor.data, tensor.elements(), dtype_bits(tensor.dtype)); }

Bytes bytes_of(DType dtype, const Codes& codes) { return pack(codes, dtype_bits(dtype)); }

int least_bits(DType dtype, const Codes& codes) {
  const int all = dtype_bits(dtype);
  if (!is_integer(dtype)) return all;
  uint32_t used = 0;
  for (const uint32_t code : codes) {
    const bool negative = is_signed(dtype) && (code >> (all - 1) & 1) != 0;
    used |= negative ? ~code & low_bits(all) : code;
  }
  return std::clamp(static_cast<int>(std::bit_width(used)) + (is_signed(dtype) ? 1 : 0), 1, all);
}

StoredValues encode_values(DType dtype, const Codes& codes, int bits, bool entropy_code) {
  StoredValues stored{bits == dtype_bits(dtype) ? "raw" : fmt::format("packed:{}", bits), pack(codes, bits)};
  if (!entropy_code || codes.empty()) return stored;
  Codes symbols = codes;
  for (uint32_t& symbol : symbols) symbol &= low_bits(bits);
  for_floats(dtype, symbols, sign_last);
  Bytes coded = rans_encode(symbols, bits);
  const bool allowed = static_cast<int64_t>(codes.size()) / rans_elements_a_byte <= static_cast<int64_t>(coded.size());
  if (allowed && coded.size() < stored.bytes.size()) stored = {fmt::format("rans:{}", bits), std::move(coded)};
  return stored;
}

Codes decode_values(const StoredValues& stored, DType dtype, int64_t count) {
  if (!known_values(stored.name))
    fail_input("values '{}' are unknown to this version (expected raw, packed:n or rans:n); use a newer pare",
               stored.name);
  const int all = dtype_bits(dtype);
  const int bits = stored.name == "raw" ? all : bits_in(stored.name);
  if (bits > all || (!is_integer(dtype) && bits != all))
    fail_input("values '{}' cannot be {} (expected {} bits)", stored.name, dtype_name(dtype), all);
  Codes codes;
  if (stored.name.starts_with("rans")) {
    codes = rans_decode(stored.bytes, count, bits);
    for_floats(dtype, codes, sign_first);
  } else {
    codes = unpack(stored.bytes, count, bits);
  }
  if (is_signed(dtype) && bits < all)
    for (uint32_t& code : codes)
      if ((code >> (bits - 1) & 1) != 0) code |= low_bits(all) & ~low_bits(bits);
  return codes;
}

bool known_values(const std::string& values) { return values == "raw" || bits_in(values) > 0; }

}  // namespace pare
