#include <algorithm>

#include <doctest/doctest.h>

#include "src/core/suggest.hpp"

namespace pare {

TEST_CASE("suggest: the edit distance counts insertions, deletions, replacements and swaps") {
  CHECK(edit_distance("prune", "prune") == 0);
  CHECK(edit_distance("prun", "prune") == 1);
  CHECK(edit_distance("prunee", "prune") == 1);
  CHECK(edit_distance("prane", "prune") == 1);
  CHECK(edit_distance("purne", "prune") == 1);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("suggest: the edit distance is symmetric and obeys the bounds of lengths") {
  const std::vector<std::string> words = {"", "a", "ab", "ba", "abc", "acb", "--epochs", "--epoch", "sparsity"};
  for (const auto& a : words)
    for (const auto& b : words) {
      const size_t distance = edit_distance(a, b);
      CHECK(distance == edit_distance(b, a));
      CHECK(distance <= std::max(a.size(), b.size()));
      CHECK(distance >= std::max(a.size(), b.size()) - std::min(a.size(), b.size()));
      CHECK((distance == 0) == (a == b));
    }
}

TEST_CASE("suggest: the nearest name is offered, and nothing when all are far") {
  const std::vector<std::string> names = {"inspect", "prune", "distill"};
  CHECK(nearest("prnue", names) == "prune");
  CHECK(nearest("destill", names) == "distill");
  CHECK(nearest("quantize", names) == std::nullopt);
  CHECK(nearest("x", names) == std::nullopt);
  CHECK(nearest("", names) == std::nullopt);
}

TEST_CASE("suggest: the beginning of exactly one name is enough") {
  const std::vector<std::string> names = {"accuracy", "accuracy_drop", "latency_ms_p50"};
  CHECK(nearest("laten", names) == "latency_ms_p50");
  CHECK(nearest("acc", names) == std::nullopt);
}

TEST_CASE("suggest: did_you_mean is a phrase, or what to say otherwise") {
  CHECK(did_you_mean("purne", {"prune"}) == "; did you mean 'prune'?");
  CHECK(did_you_mean("zzz", {"prune"}) == "");
  CHECK(did_you_mean("zzz", {"prune"}, "; see --help") == "; see --help");
}

}  // namespace pare
