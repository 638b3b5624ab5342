// Random numbers as pure functions of the place where they are used: no state to carry, so the same on every machine,
// for any number of threads and after a resume.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace pare {

// Which sequence: the run's seed and the consumer. Two consumers never share numbers when their streams differ.
struct RandomKey {
  uint64_t seed = 0;
  uint32_t stream = 0;
};

// A stream by name (FNV-1a, 32 bits): `RandomKey{seed, random_stream("shuffle")}`.
constexpr uint32_t random_stream(std::string_view name) {
  uint32_t hash = 2166136261u;
  for (const char letter : name) hash = (hash ^ static_cast<unsigned char>(letter)) * 16777619u;
  return hash;
}

using RandomBlock = std::array<uint32_t, 4>;

// Philox4x32-10: 128 well-mixed bits for each (counter, key); a bijection of the counter for every key. Salmon, Moraes,
// Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
constexpr RandomBlock philox4x32(RandomBlock counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t even = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t odd = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(odd >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(odd),
               static_cast<uint32_t>(even >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(even)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

// The 128 bits at (counter, part) of a stream. `counter` counts what is drawn for (samples, elements), `part` what
// repeats it (epochs, steps).
constexpr RandomBlock random_block(RandomKey key, uint64_t counter, uint32_t part = 0) {
  return philox4x32({static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), part, key.stream},
                    {static_cast<uint32_t>(key.seed), static_cast<uint32_t>(key.seed >> 32)});
}

// Uniform over all 64-bit values.
constexpr uint64_t random_u64(RandomKey key, uint64_t counter, uint32_t part = 0) {
  const RandomBlock block = random_block(key, counter, part);
  return block[0] | uint64_t{block[1]} << 32;
}

// Uniform over the multiples of 2^-24 in [0, 1).
constexpr float random_uniform(RandomKey key, uint64_t counter, uint32_t part = 0) {
  return static_cast<float>(random_u64(key, counter, part) >> 40) * 0x1p-24f;
}

// Uniform over 0 .. bound-1 without modulo bias (Lemire, "Fast random integer generation in an interval", 2019). bound
// >= 1.
uint64_t random_below(uint64_t bound, RandomKey key, uint64_t counter, uint32_t part = 0);

// Standard normal (Box-Muller in double; the last bit may depend on the C library's log and cos).
float random_normal(RandomKey key, uint64_t counter, uint32_t part = 0);

// Reorders `items` so that every order is equally likely (Fisher-Yates).
void shuffle_in_place(std::span<int64_t> items, RandomKey key, uint32_t part = 0);

// 0 .. n-1 in shuffled order.
std::vector<int64_t> permutation(int64_t n, RandomKey key, uint32_t part = 0);

}  // namespace pare
