#include "kernels/threshold.hpp"

#include <bit>
#include <iterator>
#include <limits>
#include <mutex>
#include <numeric>

#include "kernels/blocks.hpp"
#include "kernels/threshold_math.hpp"

// Read 1 finds a bin of neighbouring keys that holds the k-th smallest, read 2 the key within the bin. Counting every
// element would cost five times the read itself, so a sample of the scores decides what is counted how: read 1 counts
// only the keys of a window that brackets the rank in the sample, in up to 65,536 bins of equal width, and merely
// counts the elements below it; and in both reads the bin that is most frequent in the sample (the zeros of a pruned
// model) is counted by a vectorised comparison. A window of so few keys that each has its own bin needs no second read.
// When the rank turns out to lie outside the window, the keys are counted by their high halves. The sample decides the
// speed, never the result.

namespace pare::kernels {
namespace {

constexpr int64_t most_bins = 1 << 16;
constexpr int64_t tile_elements = 1024;  // 128 words of match bytes: their numbers fit a byte
constexpr int64_t lanes = 4;  // neighbours count in different histograms, so that equal scores do not wait for a store
constexpr int64_t lane_stride = most_bins + 1040;  // not a multiple of 4 KiB, which would look like the same address

constexpr uint32_t no_bin = most_bins;
constexpr uint32_t no_key = 0xffffffffu;  // of no float but a NaN

// The keys to count: first to first + last_offset, in bins of 2^shift neighbours.
struct Window {
  uint32_t first;
  uint32_t last_offset;
  int shift;
  uint32_t frequent;  // a bin that probably holds many elements, or no_bin

  uint32_t bins() const { return (last_offset >> shift) + 1; }
};

constexpr Window all_keys{0, 0xffffffffu, 16, no_bin};

struct Counts {
  std::vector<int64_t> bins;
  int64_t below = 0;  // elements with a key below the window
  bool nan = false;
};

struct TileCounts {
  uint32_t inside, frequent, below, largest;  // largest: bits of the largest magnitude, which tells of a NaN
};

struct Bin {
  uint32_t index;
  int64_t rank;  // of the wanted element within the bin, from 0
};

// The bin that holds the element of rank `rank`, which is less than the sum of all bins.
Bin find_bin(const std::vector<int64_t>& bins, int64_t rank) {
  uint32_t bin = 0;
  while (rank >= bins[bin]) rank -= bins[bin++];
  return {bin, rank};
}

// The keys of one bin of a window, each in its own bin.
Window window_of_bin(const Window& window, uint32_t bin) {
  const uint32_t offset = bin << window.shift;
  return {window.first + offset, std::min((1u << window.shift) - 1, window.last_offset - offset), 0, no_bin};
}

// A window's frequent bin as the keys from `first` on, `size` of them.
struct FrequentKeys {
  explicit FrequentKeys(const Window& window) {
    if (window.frequent == no_bin) return;
    const Window keys = window_of_bin(window, window.frequent);
    first = keys.first;
    size = keys.last_offset + 1;
  }
  uint32_t first = 0, size = 0;
};

// match[i] = score[i] is inside the window, but not in its frequent bin.
PARE_SIMD TileCounts match_first_read(const float* score, int64_t count, Window window, FrequentKeys frequent_keys,
                                      uint8_t* match) {
  uint32_t inside = 0, frequent = 0, below = 0, largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t key = ordered_key(score[i]), magnitude = float_bits(score[i]) & 0x7fffffffu;
    const uint32_t in_window = key - window.first <= window.last_offset ? 1u : 0u;
    const uint32_t in_frequent = key - frequent_keys.first < frequent_keys.size ? 1u : 0u;
    match[i] = static_cast<uint8_t>(in_window ^ in_frequent);
    inside += in_window;
    frequent += in_frequent;
    below += key < window.first ? 1u : 0u;
    largest = magnitude > largest ? magnitude : largest;
  }
  return {inside, frequent, below, largest};
}

// The same for read 2, which knows that there is no NaN and needs no count below.
PARE_SIMD TileCounts match_second_read(const float* score, int64_t count, Window window, FrequentKeys frequent_keys,
                                       uint8_t* match) {
  uint32_t inside = 0, frequent = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t key = ordered_key(score[i]);
    const uint32_t in_window = key - window.first <= window.last_offset ? 1u : 0u;
    const uint32_t in_frequent = key - frequent_keys.first < frequent_keys.size ? 1u : 0u;
    match[i] = static_cast<uint8_t>(in_window ^ in_frequent);
    inside += in_window;
    frequent += in_frequent;
  }
  return {inside, frequent, 0, 0};
}

PARE_SIMD bool has_nan_range(const float* score, int64_t begin, int64_t end) {
  uint32_t largest = 0;
  for (int64_t i = begin; i < end; ++i) {
    const uint32_t magnitude = float_bits(score[i]) & 0x7fffffffu;
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest > 0x7f800000u;
}

// bins[i] = bin of score[i], or no_bin where it is outside the window or in its frequent bin.
PARE_SIMD void bin_range(const float* score, int64_t count, Window window, uint32_t* bins) {
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t offset = ordered_key(score[i]) - window.first;
    const uint32_t bin = offset >> window.shift;
    bins[i] = offset <= window.last_offset && bin != window.frequent ? bin : no_bin;
  }
}

PARE_SIMD void key_range(const float* score, int64_t count, uint32_t* keys) {
  for (int64_t i = 0; i < count; ++i) keys[i] = ordered_key(score[i]) | (is_nan(score[i]) ? no_key : 0u);
}

PARE_SIMD int64_t count_equal_range(const float* score, int64_t begin, int64_t end, float value) {
  uint32_t count = 0;
  for (int64_t i = begin; i < end; ++i) count += score[i] == value ? 1u : 0u;
  return count;
}

// A thread's counters. The sparse ones count a few elements one by one, the dense ones all elements of a tile: with one
// histogram a lane, allocated when the first such tile comes.
struct Counters {
  std::vector<uint32_t> sparse = std::vector<uint32_t>(most_bins + 1);
  std::vector<uint32_t> dense;
  int64_t below = 0;
  uint32_t largest = 0;
};

void count_dense_tile(const float* score, int64_t count, Window window, Counters& counters) {
  if (counters.dense.empty()) counters.dense.resize(static_cast<size_t>(lanes * lane_stride));
  uint32_t bins[tile_elements];
  bin_range(score, count, window, bins);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    for (int64_t lane = 0; lane < lanes; ++lane)
      ++counters.dense[static_cast<size_t>(lane * lane_stride) + bins[i + lane]];
  for (; i < count; ++i) ++counters.dense[bins[i]];
}

// match: the bytes of a match function, followed by 8 readable zero bytes. Words with a match are listed first, without
// a branch: a branch for each would be mispredicted whenever it is taken.
void count_sparse_tile(const float* score, int64_t count, Window window, const uint8_t* match, Counters& counters) {
  uint8_t matching[tile_elements / 8 + 1];
  int64_t listed = 0;
  for (int64_t w = 0; w * 8 < count; ++w) {
    uint64_t word;
    memcpy(&word, match + 8 * w, sizeof word);
    matching[listed] = static_cast<uint8_t>(w);
    listed += word != 0 ? 1 : 0;
  }
  for (int64_t m = 0; m < listed; ++m) {
    uint64_t word;
    memcpy(&word, match + 8 * matching[m], sizeof word);
    do {
      const int64_t hit = 8 * matching[m] + std::countr_zero(word) / 8;
      ++counters.sparse[(ordered_key(score[hit]) - window.first) >> window.shift];
      word &= word - 1;
    } while (word != 0);
  }
}

void count_block(const float* score, int64_t count, Window window, bool is_first, Counters& counters) {
  const FrequentKeys frequent(window);
  uint8_t match[tile_elements + 8] = {};
  for (int64_t begin = 0; begin < count; begin += tile_elements) {
    const int64_t size = std::min(tile_elements, count - begin);
    memset(match + size, 0, 8);
    const TileCounts tile = is_first ? match_first_read(score + begin, size, window, frequent, match)
                                     : match_second_read(score + begin, size, window, frequent, match);
    counters.sparse[window.frequent] += tile.frequent;
    counters.below += tile.below;
    counters.largest = std::max(counters.largest, tile.largest);
    const int64_t to_count = tile.inside - tile.frequent;
    if (to_count * 4 > size) {
      count_dense_tile(score + begin, size, window, counters);
    } else if (to_count != 0) {
      count_sparse_tile(score + begin, size, window, match, counters);
    }
  }
}

// Counts all scores, with one set of counters a thread; their integer sums do not depend on the order. A thread's
// 32-bit counters are emptied before they can overflow.
Counts count_scores(std::span<const ScoreView> scores, const std::vector<Block>& blocks, Window window, bool is_first) {
  constexpr int64_t blocks_before_overflow = int64_t{1} << 15;
  Counts total;
  total.bins.resize(window.bins());
  std::mutex mutex;
  parallel_for(0, static_cast<int64_t>(blocks.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t start = first; start < last; start += blocks_before_overflow) {
      Counters counters;
      for (int64_t i = start; i < std::min(last, start + blocks_before_overflow); ++i) {
        const Block& block = blocks[static_cast<size_t>(i)];
        const float* score = scores[static_cast<size_t>(block.tensor)].score + block.begin;
        count_block(score, block.end - block.begin, window, is_first, counters);
      }
      const std::lock_guard lock(mutex);
      for (size_t bin = 0; bin < total.bins.size(); ++bin) total.bins[bin] += counters.sparse[bin];
      if (!counters.dense.empty())
        for (int64_t lane = 0; lane < lanes; ++lane)
          for (size_t bin = 0; bin < total.bins.size(); ++bin)
            total.bins[bin] += counters.dense[static_cast<size_t>(lane * lane_stride) + bin];
      total.below += counters.below;
      total.nan = total.nan || counters.largest > 0x7f800000u;
    }
  });
  return total;
}

// The keys of one cache line in 128 of the scores, without NaN; empty where so few scores need no sample.
std::vector<uint32_t> sample_keys(std::span<const ScoreView> scores, const std::vector<Block>& blocks) {
  constexpr int64_t line = 16, every = 128 * line, samples = block_elements / 128;
  if (total_size(scores) < int64_t{1} << 20) return {};
  std::vector<uint32_t> sample(blocks.size() * samples, no_key);
  parallel_for(0, static_cast<int64_t>(blocks.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b) {
      const Block& block = blocks[static_cast<size_t>(b)];
      const float* score = scores[static_cast<size_t>(block.tensor)].score;
      uint32_t* out = sample.data() + b * samples;
      for (int64_t begin = block.begin; begin < block.end; begin += every, out += line)
        key_range(score + begin, std::min(line, block.end - begin), out);
    }
  });
  std::erase(sample, no_key);
  return sample;
}

// The bin with most of the keys that lie in the window.
uint32_t most_frequent(const std::vector<uint32_t>& keys, const Window& window) {
  std::vector<int64_t> bins(window.bins());
  for (const uint32_t key : keys)
    if (key - window.first <= window.last_offset) ++bins[(key - window.first) >> window.shift];
  return static_cast<uint32_t>(std::max_element(bins.begin(), bins.end()) - bins.begin());
}

// Keys that very likely hold the k-th smallest of `total` scores: those within 0.5 % of its rank in the sample, which
// would be four standard deviations for the 200,000 independent samples of 25 million scores.
Window window_around_rank(const std::vector<uint32_t>& sample, int64_t k, int64_t total) {
  constexpr double margin = 0.005;
  if (sample.empty()) return all_keys;
  constexpr int nearest_cache_bits = 12;  // so many bins of a window stay in the first-level cache
  const double rank = static_cast<double>(k - 1) / static_cast<double>(total);
  Window window = all_keys;
  std::vector<int64_t> high_halves(most_bins);
  for (const uint32_t key : sample) ++high_halves[key >> 16];
  const auto key_at = [&](double share) {
    const Bin bin = find_bin(high_halves, static_cast<int64_t>(share * static_cast<double>(sample.size() - 1)));
    std::vector<uint32_t> keys;
    keys.reserve(static_cast<size_t>(high_halves[bin.index]));
    std::copy_if(sample.begin(), sample.end(), std::back_inserter(keys),
                 [&](uint32_t key) { return key >> 16 == bin.index; });
    std::nth_element(keys.begin(), keys.begin() + bin.rank, keys.end());
    return keys[static_cast<size_t>(bin.rank)];
  };
  if (rank >= margin) window.first = key_at(rank - margin);
  window.last_offset = (rank <= 1 - margin ? key_at(rank + margin) : no_key) - window.first;
  window.shift = std::clamp(static_cast<int>(std::bit_width(window.last_offset)) - nearest_cache_bits, 0, 16);
  window.frequent = most_frequent(sample, window);
  return window;
}

// Global index just after the `wanted`-th element that equals `value`, counting from the first tensor.
int64_t index_after_equal(std::span<const ScoreView> scores, const std::vector<Block>& blocks, float value,
                          int64_t wanted) {
  std::vector<int64_t> equal(blocks.size());
  parallel_for(0, static_cast<int64_t>(blocks.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const Block& block = blocks[static_cast<size_t>(i)];
      equal[static_cast<size_t>(i)] =
          count_equal_range(scores[static_cast<size_t>(block.tensor)].score, block.begin, block.end, value);
    }
  });
  size_t b = 0;
  while (wanted > equal[b]) wanted -= equal[b++];
  const float* score = scores[static_cast<size_t>(blocks[b].tensor)].score;
  int64_t i = blocks[b].begin;
  for (; wanted > 0; ++i)
    if (score[i] == value) --wanted;
  return blocks[b].global_offset + i;
}

// The first tensor with a NaN, or -1.
int64_t find_nan_tensor(std::span<const ScoreView> scores, const std::vector<Block>& blocks) {
  std::vector<uint8_t> nan(blocks.size());
  parallel_for(0, static_cast<int64_t>(blocks.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const Block& block = blocks[static_cast<size_t>(i)];
      const float* score = scores[static_cast<size_t>(block.tensor)].score;
      nan[static_cast<size_t>(i)] = has_nan_range(score, block.begin, block.end) ? 1 : 0;
    }
  });
  const auto found = std::find(nan.begin(), nan.end(), 1);
  return found == nan.end() ? -1 : blocks[static_cast<size_t>(found - nan.begin())].tensor;
}

}  // namespace

Selection select_smallest(Device device, std::span<const ScoreView> scores, int64_t k) {
  for (size_t t = 0; t < scores.size(); ++t)
    check_tensor("select_smallest", t, scores[t].size, scores[t].score, "score");
  const int64_t total = total_size(scores);
  if (k < 0 || k > total) fail_run("select_smallest: k out of range (got {}, expected 0 to {})", k, total);
  int64_t nan_tensor = -1;
  const Selection selection = device.cuda ? cuda::select_smallest(device.stream, scores, k, nan_tensor)
                                          : cpu::select_smallest(scores, k, nan_tensor);
  if (nan_tensor >= 0)
    fail_run("select_smallest: tensor {} has NaN scores; check the loss and the learning rate", nan_tensor);
  return selection;
}

namespace cpu {

Selection select_smallest(std::span<const ScoreView> scores, int64_t k, int64_t& nan_tensor) {
  const std::vector<Block> blocks = cut_blocks(scores);
  nan_tensor = -1;
  if (k == 0) {
    nan_tensor = find_nan_tensor(scores, blocks);
    return {-std::numeric_limits<float>::infinity(), 0, 0};
  }
  const std::vector<uint32_t> sample = sample_keys(scores, blocks);
  Window window = window_around_rank(sample, k, total_size(scores));
  Counts counts = count_scores(scores, blocks, window, true);
  if (counts.nan) {
    nan_tensor = find_nan_tensor(scores, blocks);
    return {};
  }
  int64_t rank = k - 1 - counts.below;
  if (rank < 0 || rank >= std::accumulate(counts.bins.begin(), counts.bins.end(), int64_t{0})) {
    window = all_keys;
    counts = count_scores(scores, blocks, window, true);
    rank = k - 1;
  }
  Bin bin = find_bin(counts.bins, rank);
  if (window.shift > 0) {
    window = window_of_bin(window, bin.index);
    if (!sample.empty()) window.frequent = most_frequent(sample, window);
    counts = count_scores(scores, blocks, window, false);
    bin = find_bin(counts.bins, bin.rank);
  }
  const float threshold = key_value(window.first + bin.index);
  const int64_t selected_equal = bin.rank + 1;
  const bool splits_tie = selected_equal < counts.bins[bin.index];
  const int64_t cut = splits_tie ? index_after_equal(scores, blocks, threshold, selected_equal) : total_size(scores);
  return {threshold, cut, k};
}

}  // namespace cpu
}  // namespace pare::kernels
