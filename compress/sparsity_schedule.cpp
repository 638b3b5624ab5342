#include "compress/sparsity_schedule.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "src/core/error.hpp"
#include "src/core/suggest.hpp"

namespace pare {
namespace {

constexpr int64_t most_rounds = 1000;

}  // namespace

SparsitySchedule parse_schedule(std::string_view text) {
  constexpr std::string_view iterative = "iterative:";
  SparsitySchedule schedule;
  if (text.starts_with(iterative)) {
    const std::string_view digits = text.substr(iterative.size());
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), schedule.rounds);
    if (error != std::errc() || end != digits.data() + digits.size() || schedule.rounds < 1 ||
        schedule.rounds > most_rounds)
      fail_usage("bad value (got '{}', expected iterative:N with N from 1 to {})", text, most_rounds);
    schedule.kind = "iterative";
    return schedule;
  }
  for (const char* kind : {"one-shot", "cubic", "linear", "exponential"})
    if (text == kind) {
      schedule.kind = kind;
      return schedule;
    }
  fail_usage("bad value (got '{}', expected one-shot, iterative:N, cubic, linear or exponential){}", text,
             did_you_mean(text, {"one-shot", "iterative:5", "cubic", "linear", "exponential"}));
}

int64_t SparsitySchedule::round_of(int64_t step) const {
  const int64_t span = last_step - first_step + 1;
  return std::min(rounds, 1 + (step - first_step) * rounds / span);
}

bool SparsitySchedule::due(int64_t step, bool exchange) const {
  if (step < first_step || (step > last_step && step != first_step)) return false;
  if (exchange && (step == last_step || (step - first_step) % interval == 0)) return true;
  if (kind == "one-shot") return step == first_step;
  if (kind == "iterative") return step == first_step || round_of(step) > round_of(step - 1);
  return step == last_step || (step - first_step) % interval == 0;
}

double SparsitySchedule::progress(int64_t step) const {
  if (step >= last_step) return 1;
  if (step <= first_step) return 0;
  return static_cast<double>(step - first_step) / static_cast<double>(last_step - first_step);
}

double SparsitySchedule::at(int64_t step) const {
  if (step < first_step) return initial;
  if (kind == "one-shot" || step >= last_step) return target;
  const double t = progress(step);
  if (kind == "linear") return initial + (target - initial) * t;
  if (kind == "cubic") return target + (initial - target) * (1 - t) * (1 - t) * (1 - t);
  const double share = kind == "iterative" ? static_cast<double>(round_of(step)) / static_cast<double>(rounds) : t;
  if (share >= 1) return target;
  return 1 - (1 - initial) * std::pow((1 - target) / (1 - initial), share);
}

}  // namespace pare
