#include "compress/weight_bits.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>

#include "src/core/error.hpp"

namespace pare {
namespace {

constexpr int possible_bits[] = {8, 4, 3, 2};
constexpr int64_t budget_steps = 1 << 16;

// A combination of choices for the weights so far.
struct State {
  int64_t cost = 0;  // in steps
  double error = 0;
  size_t previous = 0;  // state of the weights before
  size_t choice = 0;
};

int64_t bytes_of(const QuantizedWeight& weight) {
  const auto& codes = weight.encoded.codes;
  const auto kept = static_cast<int64_t>(codes.size()) - std::count(codes.begin(), codes.end(), uint8_t{0});
  const int64_t dense = weight.elements * weight.bits;
  const int64_t masked = weight.elements + kept * weight.bits;
  const int64_t scales = weight.stored_bits - dense;
  return (std::min(dense, masked) + 7) / 8 + 1 + scales / 8;
}

// Keeps the states that no other one beats in both cost and error, by rising cost.
std::vector<State> undominated(std::vector<State> states) {
  std::stable_sort(states.begin(), states.end(), [](const State& a, const State& b) {
    return a.cost != b.cost ? a.cost < b.cost : a.error < b.error;
  });
  std::vector<State> kept;
  double least = std::numeric_limits<double>::infinity();
  for (const State& state : states) {
    if (!(state.error < least)) continue;
    least = state.error;
    kept.push_back(state);
  }
  return kept;
}

void add_up(const std::vector<WeightChoices>& weights, BitsAllocation& allocation) {
  for (size_t i = 0; i < weights.size(); ++i) {
    const BitsChoice& choice = weights[i].choices.at(allocation.chosen[i]);
    allocation.bytes += choice.bytes;
    allocation.error += choice.error;
  }
}

BitsAllocation smallest(const std::vector<WeightChoices>& weights) {
  BitsAllocation allocation;
  for (const WeightChoices& weight : weights) {
    const auto least = std::min_element(weight.choices.begin(), weight.choices.end(),
                                        [](const auto& a, const auto& b) { return a.bytes < b.bytes; });
    allocation.chosen.push_back(static_cast<size_t>(least - weight.choices.begin()));
  }
  add_up(weights, allocation);
  return allocation;
}

}  // namespace

BitsBudget BitsBudget::parse(const std::string& text) {
  const bool relative = text.ends_with("bpw");
  const char* end = text.data() + text.size() - (relative ? 3 : 0);
  BitsBudget budget;
  std::from_chars_result result{};
  if (relative) result = std::from_chars(text.data(), end, budget.bits_a_weight);
  else result = std::from_chars(text.data(), end, budget.bytes);
  const bool possible = relative ? budget.bits_a_weight > 0 && budget.bits_a_weight <= 32 : budget.bytes > 0;
  if (result.ec != std::errc() || result.ptr != end || !possible)
    fail_usage("--bits-budget: bad budget (got '{}', expected bytes, as in 12000, or bits a weight, as in 3.5bpw)",
               text);
  return budget;
}

int64_t BitsBudget::bytes_for(int64_t weights) const {
  if (bytes > 0) return bytes;
  return static_cast<int64_t>(std::floor(bits_a_weight * static_cast<double>(weights) / 8));
}

std::vector<WeightChoices> choices_of_bits(const Graph& graph, const WeightOnlyConfig& config) {
  std::vector<WeightChoices> weights;
  std::map<std::string, size_t> index;
  for (const int bits : possible_bits) {
    if (bits > config.bits) continue;
    Graph trial = graph;
    WeightOnlyConfig of_bits = config;
    of_bits.bits = bits;
    for (const QuantizedWeight& weight : quantize_weights_only(trial, of_bits).weights) {
      const auto [found, added] = index.emplace(weight.name, weights.size());
      if (added) weights.push_back({weight.name, weight.elements, {}});
      std::vector<BitsChoice>& choices = weights[found->second].choices;
      // Embeddings take 8 bits whatever is asked for.
      if (!choices.empty() && choices.back().bits == weight.bits) continue;
      choices.push_back({weight.bits, bytes_of(weight), std::pow(10.0, -weight.snr_db / 10)});
    }
  }
  return weights;
}

BitsAllocation allocate_bits(const std::vector<WeightChoices>& weights, int64_t bytes) {
  const int64_t step = std::max<int64_t>(1, bytes / budget_steps);
  const int64_t limit = bytes / step;
  std::vector<std::vector<State>> levels{{State{}}};
  for (const WeightChoices& weight : weights) {
    std::vector<State> next;
    for (size_t s = 0; s < levels.back().size(); ++s)
      for (size_t c = 0; c < weight.choices.size(); ++c) {
        const State& before = levels.back()[s];
        const int64_t cost = before.cost + (weight.choices[c].bytes + step - 1) / step;
        if (cost <= limit) next.push_back({cost, before.error + weight.choices[c].error, s, c});
      }
    if (next.empty()) return smallest(weights);
    levels.push_back(undominated(std::move(next)));
  }
  BitsAllocation allocation;
  allocation.chosen.resize(weights.size());
  size_t at = levels.back().size() - 1;  // the dearest one has the least error
  for (size_t i = weights.size(); i-- > 0;) {
    const State& state = levels[i + 1][at];
    allocation.chosen[i] = state.choice;
    at = state.previous;
  }
  add_up(weights, allocation);
  allocation.fits = true;
  return allocation;
}

}  // namespace pare
