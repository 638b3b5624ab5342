// Masks as bits (least significant bit first), and the kept values without the gaps: the `bitmask` layout of files.
#pragma once

#include <cstdint>

#include "kernels/device.hpp"

namespace pare::kernels {

// Bytes that `size` bits take.
PARE_HD int64_t bitmask_bytes(int64_t size) { return (size + 7) / 8; }

// bits[i / 8] bit (i % 8) = mask[i]; mask holds 0 or 1. The unused high bits of the last byte become 0.
void pack_bits(Device device, const uint8_t* mask, int64_t size, uint8_t* bits);

// mask[i] = bit i, as 0 or 1.
void unpack_bits(Device device, const uint8_t* bits, int64_t size, uint8_t* mask);

// Bit i is 1 iff any bit of element i is: -0.0 counts as kept, so that gather and scatter give the bytes back exactly.
// element_size is 1, 2, 4 or 8; `values` is aligned to it.
void nonzero_bits(Device device, const void* values, int element_size, int64_t size, uint8_t* bits);

// Writes the elements whose bit is 1 to `kept` in order and returns their number. `kept` has room for all of them (at
// most `size`). On CUDA the call synchronises with the stream.
int64_t gather_kept(Device device, const void* values, int element_size, int64_t size, const uint8_t* bits, void* kept);

// The inverse: values[i] = the next kept element where bit i is 1, else all-zero bits. `kept` holds as many elements as
// `bits` has ones.
void scatter_kept(Device device, const void* kept, int element_size, int64_t size, const uint8_t* bits, void* values);

// Number of ones among the first `size` bits. On CUDA the call synchronises with the stream.
int64_t count_bits(Device device, const uint8_t* bits, int64_t size);

namespace cpu {
void pack_bits(const uint8_t* mask, int64_t size, uint8_t* bits);
void unpack_bits(const uint8_t* bits, int64_t size, uint8_t* mask);
void nonzero_bits(const void* values, int element_size, int64_t size, uint8_t* bits);
int64_t gather_kept(const void* values, int element_size, int64_t size, const uint8_t* bits, void* kept);
void scatter_kept(const void* kept, int element_size, int64_t size, const uint8_t* bits, void* values);
int64_t count_bits(const uint8_t* bits, int64_t size);
}  // namespace cpu

namespace cuda {
void pack_bits(void* stream, const uint8_t* mask, int64_t size, uint8_t* bits);
void unpack_bits(void* stream, const uint8_t* bits, int64_t size, uint8_t* mask);
void nonzero_bits(void* stream, const void* values, int element_size, int64_t size, uint8_t* bits);
int64_t gather_kept(void* stream, const void* values, int element_size, int64_t size, const uint8_t* bits, void* kept);
void scatter_kept(void* stream, const void* kept, int element_size, int64_t size, const uint8_t* bits, void* values);
int64_t count_bits(void* stream, const uint8_t* bits, int64_t size);
}  // namespace cuda

}  // namespace pare::kernels
