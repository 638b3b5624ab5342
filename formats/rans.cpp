#include "formats/rans.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "src/core/error.hpp"

namespace pare {
namespace {

// The state lies in [lowest_state, lowest_state * 256) and moves by bytes; probabilities have 12 bits.
constexpr int probability_bits = 12;
constexpr uint32_t one = 1u << probability_bits;
constexpr uint32_t lowest_state = 1u << 16;
constexpr size_t state_bytes = 3;
// The state is written anew, and the coder's memory with it, for so many elements.
constexpr size_t elements_a_chunk = size_t{1} << 16;
constexpr int tree_bits = 8;  // bits of a code whose probability depends on those before; the others are even

// How far a probability moves, in 2^-16, when it has seen so many bits: 1 / (n + 3/2).
constexpr auto rates = [] {
  std::array<int64_t, 1023> table{};
  for (size_t n = 0; n < table.size(); ++n) table[n] = 131072 / (2 * static_cast<int64_t>(n) + 3);
  return table;
}();

// The probability of a 1, in 2^-24: the mean of what was seen, later a moving average.
class Probability {
 public:
  uint32_t of_one() const { return std::clamp(value_ >> (24 - probability_bits), 1u, one - 1); }

  void update(bool bit) {
    const int64_t target = bit ? 1 << 24 : 0;
    value_ = static_cast<uint32_t>(int64_t{value_} + (((target - int64_t{value_}) * rates[seen_]) >> 16));
    seen_ += seen_ + 1 < rates.size() ? 1 : 0;
  }

 private:
  uint32_t value_ = 1u << 23;
  uint32_t seen_ = 0;
};

// The decisions that a code consists of, in one order for both directions: `decide(probability, bit)` codes or reads a
// bit. First whether there are zeros at all; then for each code, if so, whether it is zero, given the two codes before;
// then its bits, highest first.
class CodeModel {
 public:
  explicit CodeModel(int bits) : bits_(bits), tree_(size_t{1} << std::min(bits, tree_bits)) {}

  template <class Decide>
  void visit_header(bool& zeros, Decide decide) {
    decide(even_, zeros);
    zeros_ = zeros;
  }

  template <class Decide>
  void visit(uint32_t& code, Decide decide) {
    if (zeros_) {
      bool kept = code != 0;
      Probability& probability = kept_[before_];
      decide(probability, kept);
      probability.update(kept);
      before_ = (before_ << 1 | static_cast<size_t>(kept)) & 3;
      if (!kept) {
        code = 0;
        return;
      }
    }
    visit_bits(code, decide);
  }

 private:
  template <class Decide>
  void visit_bits(uint32_t& code, Decide decide) {
    size_t node = 1;
    uint32_t value = 0;
    for (int at = bits_ - 1; at >= 0; --at) {
      bool bit = (code >> at & 1) != 0;
      if (node < tree_.size()) {
        decide(tree_[node], bit);
        tree_[node].update(bit);
        node = node << 1 | static_cast<size_t>(bit);
      } else {
        decide(even_, bit);
      }
      value = value << 1 | static_cast<uint32_t>(bit);
    }
    code = value;
  }

  int bits_;
  bool zeros_ = false;
  size_t before_ = 0;  // whether the last two codes were kept
  std::array<Probability, 4> kept_;
  std::vector<Probability> tree_;
  Probability even_;
};

// The part of [0, 4096) that stands for a bit: ones come first.
struct Share {
  uint32_t start, size;
};

Share share_of(uint32_t probability_of_one, bool bit) {
  return bit ? Share{0, probability_of_one} : Share{probability_of_one, one - probability_of_one};
}

// Codes the decisions from the last to the first, and appends the bytes in the order in which they are read.
void append_chunk(const std::vector<uint16_t>& decisions, std::string& stream) {
  constexpr uint16_t bit_mask = 1u << 15;
  std::string reversed;
  uint32_t state = lowest_state;
  for (size_t i = decisions.size(); i-- > 0;) {
    const Share share = share_of(decisions[i] & (bit_mask - 1u), (decisions[i] & bit_mask) != 0);
    for (; state >= share.size << 12; state >>= 8) reversed.push_back(static_cast<char>(state));
    state = (state / share.size << probability_bits) + state % share.size + share.start;
  }
  for (size_t i = 0; i < state_bytes; ++i, state >>= 8) reversed.push_back(static_cast<char>(state));
  stream.append(reversed.rbegin(), reversed.rend());
}

class Reader {
 public:
  explicit Reader(const Bytes& stream) : text_(stream.text()) {}

  void begin_chunk() {
    state_ = 0;
    for (size_t i = 0; i < state_bytes; ++i) state_ = state_ << 8 | next();
    if (state_ < lowest_state) fail_damaged();
  }

  bool read(uint32_t probability_of_one) {
    const uint32_t place = state_ & (one - 1);
    const bool bit = place < probability_of_one;
    const Share share = share_of(probability_of_one, bit);
    state_ = share.size * (state_ >> probability_bits) + place - share.start;
    while (state_ < lowest_state) state_ = state_ << 8 | next();
    return bit;
  }

  // What the encoder began with.
  void end_chunk() const {
    if (state_ != lowest_state) fail_damaged();
  }

  void end() const {
    if (at_ != text_.size()) fail_input("the entropy-coded stream is too long (got {} bytes more)", text_.size() - at_);
  }

 private:
  uint32_t next() {
    if (at_ == text_.size()) fail_input("the entropy-coded stream is too short (got {} bytes)", text_.size());
    return static_cast<uint8_t>(text_[at_++]);
  }

  [[noreturn]] void fail_damaged() const { fail_input("the entropy-coded stream is damaged before byte {}", at_); }

  std::string_view text_;
  size_t at_ = 0;
  uint32_t state_ = 0;
};

}  // namespace

Bytes rans_encode(const std::vector<uint32_t>& codes, int bits) {
  CodeModel model(bits);
  std::string stream;
  std::vector<uint16_t> decisions;
  const auto record = [&](const Probability& probability, bool bit) {
    decisions.push_back(static_cast<uint16_t>(probability.of_one() | (bit ? 1u << 15 : 0u)));
  };
  bool zeros = std::find(codes.begin(), codes.end(), 0u) != codes.end();
  model.visit_header(zeros, record);
  for (size_t begin = 0; begin < codes.size() || begin == 0; begin += elements_a_chunk) {
    for (size_t i = begin; i < std::min(codes.size(), begin + elements_a_chunk); ++i) {
      uint32_t code = codes[i];
      model.visit(code, record);
    }
    append_chunk(decisions, stream);
    decisions.clear();
  }
  return Bytes::own(std::move(stream));
}

std::vector<uint32_t> rans_decode(const Bytes& stream, int64_t count, int bits) {
  if (count / rans_elements_a_byte > static_cast<int64_t>(stream.size()))
    fail_input("the entropy-coded stream is too short (got {} bytes for {} elements)", stream.size(), count);
  CodeModel model(bits);
  Reader reader(stream);
  const auto read = [&](const Probability& probability, bool& bit) { bit = reader.read(probability.of_one()); };
  std::vector<uint32_t> codes(static_cast<size_t>(count));
  reader.begin_chunk();
  bool zeros = false;
  model.visit_header(zeros, read);
  for (size_t i = 0; i < codes.size(); ++i) {
    if (i > 0 && i % elements_a_chunk == 0) {
      reader.end_chunk();
      reader.begin_chunk();
    }
    model.visit(codes[i], read);
  }
  reader.end_chunk();
  reader.end();
  return codes;
}

}  // namespace pare
