// Entropy coding of integer codes: range asymmetric numeral systems (Duda 2013, "Asymmetric numeral systems: entropy
// coding combining speed of Huffman coding with compression rate of arithmetic coding") over binary decisions whose
// probabilities follow what was coded before, so that no table is stored. README.md describes the stream.
#pragma once

#include <cstdint>
#include <vector>

#include "src/core/files.hpp"

namespace pare {

// A stream stands for at most so many elements a byte: a reader can refuse what would blow up.
inline constexpr int64_t rans_elements_a_byte = 1024;

// Codes below 2^bits (bits from 1 to 32) as a stream. Equal codes give equal bytes.
Bytes rans_encode(const std::vector<uint32_t>& codes, int bits);

// The inverse, for `count` codes. Throws (exit 3) when the stream is damaged, too short or too long for them.
std::vector<uint32_t> rans_decode(const Bytes& stream, int64_t count, int bits);

}  // namespace pare
