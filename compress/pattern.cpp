#include "compress/pattern.hpp"

#include <charconv>
#include <optional>
#include <tuple>
#include <utility>

#include "kernels/nm_mask.hpp"
#include "src/core/error.hpp"
#include "src/core/suggest.hpp"

namespace pare {
namespace {

constexpr int64_t largest_block = 4096;

// "AsB" as two numbers without signs.
std::optional<std::pair<int64_t, int64_t>> numbers(std::string_view text, char separator) {
  const size_t at = text.find(separator);
  if (at == std::string_view::npos) return std::nullopt;
  const auto number = [](std::string_view digits) -> int64_t {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc() && end == digits.data() + digits.size() ? value : -1;
  };
  const std::pair pair{number(text.substr(0, at)), number(text.substr(at + 1))};
  if (pair.first < 0 || pair.second < 0) return std::nullopt;
  return pair;
}

}  // namespace

Pattern parse_pattern(std::string_view text) {
  constexpr std::string_view block = "block:";
  if (text == "weight") return {};
  if (text.starts_with(block)) {
    const auto sizes = numbers(text.substr(block.size()), 'x');
    if (!sizes || sizes->first < 1 || sizes->second < 1 || sizes->first > largest_block ||
        sizes->second > largest_block || (sizes->first == 1 && sizes->second == 1))
      fail_usage("bad value (got '{}', expected block:RxC with R and C from 1 to {}, not both 1)", text, largest_block);
    Pattern pattern;
    pattern.kind = Pattern::Kind::block;
    std::tie(pattern.rows, pattern.columns) = *sizes;
    return pattern;
  }
  const auto counts = numbers(text, ':');
  if (!counts)
    fail_usage("bad value (got '{}', expected weight, N:M, block:RxC, channel, head or residual){}", text,
               did_you_mean(text, {"weight", "channel", "head", "residual"}));
  if (counts->first < 1 || counts->first >= counts->second || counts->second > kernels::largest_group)
    fail_usage("bad value (got '{}', expected N:M with 1 <= N < M <= {})", text, kernels::largest_group);
  Pattern pattern;
  pattern.kind = Pattern::Kind::n_of_m;
  pattern.n = static_cast<int>(counts->first);
  pattern.m = static_cast<int>(counts->second);
  return pattern;
}

}  // namespace pare
