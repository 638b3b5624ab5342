#include <stdexcept>
#include <vector>

#include <doctest/doctest.h>

#include "src/core/threads.hpp"

using namespace pare;

TEST_CASE("threads: every index is visited once, for any grain") {
  for (const int64_t size : {0, 1, 2, 7, 1000, 1023}) {
    for (const int64_t grain : {1, 3, 64, 5000}) {
      std::vector<int> visits(static_cast<size_t>(size), 0);
      parallel_for(0, size, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
      });
      CHECK(visits == std::vector<int>(static_cast<size_t>(size), 1));
    }
  }
}

TEST_CASE("threads: an exception in a part reaches the caller") {
  CHECK_THROWS_AS(parallel_for(0, 100, 1, [](int64_t, int64_t) { throw std::runtime_error("part"); }),
                  std::runtime_error);
}

TEST_CASE("threads: blocks are the same for any thread count") {
  const int before = thread_count();
  std::vector<std::vector<int64_t>> ends;
  for (const int threads : {1, 2, 5}) {
    set_threads(threads);
    std::vector<int64_t> found(4, 0);
    parallel_blocks(1000, 300, [&](int64_t block, int64_t, int64_t end) { found[static_cast<size_t>(block)] = end; });
    ends.push_back(found);
  }
  set_threads(before);
  for (const auto& found : ends) CHECK(found == std::vector<int64_t>{300, 600, 900, 1000});
}
