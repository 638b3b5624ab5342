#include "kernels/threshold.hpp"

#include <bit>
#include <limits>
#include <mutex>
#include <numeric>

#include "kernels/blocks.hpp"
#include "kernels/threshold_math.hpp"

// The 32-bit key is split into two digits of 16 bits. Read 1 finds the high digit of the k-th smallest key, read 2 the
// low digit among the elements that share it, about one in a hundred for real scores. Counting every element by digit
// would cost five times the read itself, so a sample of the scores decides what is counted how: read 1 counts by digit
// only inside a window that brackets the rank in the sample, and merely counts the elements below it; and in both reads
// the bin that is most frequent in the sample (the zeros of a pruned model) is counted by a vectorised comparison. When
// the rank turns out to lie outside the window, every digit is counted. The sample decides the speed, never the result.

namespace pare::kernels {
namespace {

constexpr int64_t digits = 1 << 16;
constexpr int64_t tile_elements = 1024;
constexpr int64_t lanes = 4;  // neighbours count in different histograms, so that equal scores do not wait for a store
constexpr int64_t lane_stride = digits + 1040;  // not a multiple of 4 KiB, which would look like the same address

constexpr uint32_t no_bin = digits;

// The elements to count: those whose bin, (key >> shift) - base modulo 2^32, is less than `width`.
struct Window {
  int shift;
  uint32_t base;
  uint32_t width;
  uint32_t frequent;  // a bin that probably holds many elements, or no_bin
};

struct Counts {
  std::vector<int64_t> bins = std::vector<int64_t>(digits);
  int64_t below = 0;  // elements with (key >> shift) < base
  bool nan = false;
};

struct TileCounts {
  uint32_t inside, frequent, below, nan;  // inside: without the frequent bin
};

struct Bin {
  uint32_t digit;
  int64_t rank;  // of the wanted element within the bin, from 0
};

// The bin that holds the element of rank `rank`, which is less than the sum of all bins.
Bin find_bin(const std::vector<int64_t>& bins, int64_t rank) {
  uint32_t digit = 0;
  while (rank >= bins[digit]) rank -= bins[digit++];
  return {digit, rank};
}

// match[i] = score[i] is inside the window, but not in its frequent bin.
PARE_SIMD TileCounts match_range(const float* score, int64_t count, Window window, uint8_t* match) {
  TileCounts counts{};
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t digit = ordered_key(score[i]) >> window.shift;
    const uint32_t bin = digit - window.base;
    match[i] = (bin < window.width ? 1 : 0) & (bin != window.frequent ? 1 : 0);
    counts.frequent += bin == window.frequent ? 1u : 0u;
    counts.below += digit < window.base ? 1u : 0u;
    counts.nan |= is_nan(score[i]) ? 1u : 0u;
  }
  for (int64_t i = 0; i < count; ++i) counts.inside += match[i];
  return counts;
}

// bins[i] = bin of score[i], or no_bin where it is outside the window or in its frequent bin.
PARE_SIMD void bin_range(const float* score, int64_t count, Window window, uint32_t* bins) {
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t bin = (ordered_key(score[i]) >> window.shift) - window.base;
    bins[i] = bin < window.width && bin != window.frequent ? bin : no_bin;
  }
}

PARE_SIMD int64_t count_equal_range(const float* score, int64_t begin, int64_t end, float value) {
  uint32_t count = 0;
  for (int64_t i = begin; i < end; ++i) count += score[i] == value ? 1u : 0u;
  return count;
}

void count_dense_tile(const float* score, int64_t count, Window window, uint32_t* counters) {
  uint32_t bins[tile_elements];
  bin_range(score, count, window, bins);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    for (int64_t lane = 0; lane < lanes; ++lane) ++counters[lane * lane_stride + bins[i + lane]];
  for (; i < count; ++i) ++counters[bins[i]];
}

// match: the bytes of match_range, followed by 8 readable zero bytes.
void count_sparse_tile(const float* score, int64_t count, Window window, const uint8_t* match, uint32_t* counters) {
  for (int64_t i = 0; i < count; i += 8) {
    uint64_t word;
    memcpy(&word, match + i, sizeof word);
    for (; word != 0; word &= word - 1) {
      const int64_t hit = i + std::countr_zero(word) / 8;
      ++counters[(ordered_key(score[hit]) >> window.shift) - window.base];
    }
  }
}

// Counts the scores of one block into `counters` (lanes x lane_stride) and `counts`.below and .nan.
void count_block(const float* score, int64_t count, Window window, uint32_t* counters, Counts& counts) {
  uint8_t match[tile_elements + 8] = {};
  for (int64_t begin = 0; begin < count; begin += tile_elements) {
    const int64_t size = std::min(tile_elements, count - begin);
    memset(match + size, 0, 8);
    const TileCounts tile = match_range(score + begin, size, window, match);
    counters[window.frequent] += tile.frequent;
    counts.below += tile.below;
    counts.nan |= tile.nan != 0;
    if (tile.inside * 4 > size) {
      count_dense_tile(score + begin, size, window, counters);
    } else if (tile.inside != 0) {
      count_sparse_tile(score + begin, size, window, match, counters);
    }
  }
}

// Counts all scores, with one set of counters a thread; their integer sums do not depend on the order. A thread's
// 32-bit counters are emptied before they can overflow.
Counts count_scores(std::span<const ScoreView> scores, const std::vector<Block>& blocks, Window window) {
  constexpr int64_t blocks_before_overflow = int64_t{1} << 15;
  Counts total;
  std::mutex mutex;
  parallel_for(0, static_cast<int64_t>(blocks.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t start = first; start < last; start += blocks_before_overflow) {
      std::vector<uint32_t> counters(static_cast<size_t>(lanes * lane_stride));
      Counts part{{}, 0, false};
      for (int64_t i = start; i < std::min(last, start + blocks_before_overflow); ++i) {
        const Block& block = blocks[static_cast<size_t>(i)];
        const float* score = scores[static_cast<size_t>(block.tensor)].score + block.begin;
        count_block(score, block.end - block.begin, window, counters.data(), part);
      }
      const std::lock_guard lock(mutex);
      for (int64_t lane = 0; lane < lanes; ++lane)
        for (size_t bin = 0; bin < window.width; ++bin)
          total.bins[bin] += counters[static_cast<size_t>(lane * lane_stride) + bin];
      total.below += part.below;
      total.nan |= part.nan;
    }
  });
  return total;
}

// One cache line in 128 of the scores, NaN between the blocks; empty where so few scores need no sample.
std::vector<float> sample_scores(std::span<const ScoreView> scores, const std::vector<Block>& blocks) {
  constexpr int64_t line = 16, every = 128 * line, samples = block_elements / 128;
  if (total_size(scores) < int64_t{1} << 20) return {};
  std::vector<float> sample(blocks.size() * samples, std::numeric_limits<float>::quiet_NaN());
  parallel_for(0, static_cast<int64_t>(blocks.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b) {
      const Block& block = blocks[static_cast<size_t>(b)];
      const float* score = scores[static_cast<size_t>(block.tensor)].score;
      float* out = sample.data() + b * samples;
      for (int64_t begin = block.begin; begin < block.end; begin += every, out += line)
        memcpy(out, score + begin, static_cast<size_t>(std::min(line, block.end - begin)) * sizeof(float));
    }
  });
  return sample;
}

std::vector<int64_t> count_sample(const std::vector<float>& sample, Window window) {
  std::vector<int64_t> bins(digits);
  for (const float score : sample) {
    const uint32_t bin = (ordered_key(score) >> window.shift) - window.base;
    if (bin < window.width && !is_nan(score)) ++bins[bin];
  }
  return bins;
}

uint32_t most_frequent(const std::vector<int64_t>& bins) {
  return static_cast<uint32_t>(std::max_element(bins.begin(), bins.end()) - bins.begin());
}

constexpr Window all_high_digits{16, 0, digits, no_bin};

// High digits that very likely hold the k-th smallest of `total` scores: those within 0.5 % of its rank in the sample,
// which would be four standard deviations for the 200,000 independent samples of 25 million scores.
Window window_around_rank(const std::vector<float>& sample, int64_t k, int64_t total) {
  constexpr double margin = 0.005;
  const std::vector<int64_t> bins = count_sample(sample, all_high_digits);
  const int64_t sampled = std::accumulate(bins.begin(), bins.end(), int64_t{0});
  if (sampled == 0) return all_high_digits;
  const double rank = static_cast<double>(k - 1) / static_cast<double>(total);
  const auto digit_at = [&](double share) {
    const auto sample_rank = static_cast<int64_t>(share * static_cast<double>(sampled));
    return find_bin(bins, std::min(sample_rank, sampled - 1)).digit;
  };
  const uint32_t low = rank < margin ? 0 : digit_at(rank - margin);
  const uint32_t high = rank > 1 - margin ? digits - 1 : digit_at(rank + margin);
  const std::vector<int64_t> inside(bins.begin() + low, bins.begin() + high + 1);
  return {16, low, high - low + 1, most_frequent(inside)};
}

// Read 1: the high digit of the k-th smallest score and its rank among the scores that share the digit.
Bin find_high_digit(std::span<const ScoreView> scores, const std::vector<Block>& blocks,
                    const std::vector<float>& sample, int64_t k, bool& nan) {
  const Window window = sample.empty() ? all_high_digits : window_around_rank(sample, k, total_size(scores));
  const Counts counts = count_scores(scores, blocks, window);
  nan = counts.nan;
  if (nan) return {};
  const int64_t inside = std::accumulate(counts.bins.begin(), counts.bins.end(), int64_t{0});
  const int64_t rank = k - 1 - counts.below;
  if (rank >= 0 && rank < inside) {
    const Bin bin = find_bin(counts.bins, rank);
    return {window.base + bin.digit, bin.rank};
  }
  return find_bin(count_scores(scores, blocks, all_high_digits).bins, k - 1);
}

// Read 2: counts the low digits of the scores with that high digit.
Counts count_low_digits(std::span<const ScoreView> scores, const std::vector<Block>& blocks,
                        const std::vector<float>& sample, uint32_t high_digit) {
  Window window{0, high_digit << 16, digits, no_bin};
  if (!sample.empty()) window.frequent = most_frequent(count_sample(sample, window));
  return count_scores(scores, blocks, window);
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

// First tensor with a NaN; there is one.
int64_t find_nan_tensor(std::span<const ScoreView> scores) {
  for (size_t t = 0;; ++t)
    for (int64_t i = 0; i < scores[t].size; ++i)
      if (is_nan(scores[t].score[i])) return static_cast<int64_t>(t);
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
    if (count_scores(scores, blocks, {16, 0, 0, no_bin}).nan) nan_tensor = find_nan_tensor(scores);
    return {-std::numeric_limits<float>::infinity(), 0, 0};
  }
  const std::vector<float> sample = sample_scores(scores, blocks);
  bool nan = false;
  const Bin high = find_high_digit(scores, blocks, sample, k, nan);
  if (nan) {
    nan_tensor = find_nan_tensor(scores);
    return {};
  }
  const Counts counts = count_low_digits(scores, blocks, sample, high.digit);
  const Bin low = find_bin(counts.bins, high.rank);
  const float threshold = key_value(high.digit << 16 | low.digit);
  const int64_t selected_equal = low.rank + 1;
  const bool splits_tie = selected_equal < counts.bins[low.digit];
  const int64_t cut = splits_tie ? index_after_equal(scores, blocks, threshold, selected_equal) : total_size(scores);
  return {threshold, cut, k};
}

}  // namespace cpu
}  // namespace pare::kernels
