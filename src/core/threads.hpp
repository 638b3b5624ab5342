// The one parallel loop. Every other file is free of OpenMP pragmas.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>

namespace pare {

// Threads that parallel_for uses: the last set_threads(), else OMP_NUM_THREADS, else the cores this process may run on.
int thread_count();

// Sets the thread count for this process; n >= 1.
void set_threads(int n);

// Calls body(begin, end) on contiguous parts of [begin, end), each at least `grain` long except the last, in parallel.
// Part boundaries are multiples of `grain` from `begin` and depend on the thread count: results that must not depend on
// it are made per fixed-size block (see parallel_blocks). An exception thrown by a part is rethrown here, the first by
// time; the other parts still run to their end.
template <class Body>
void parallel_for(int64_t begin, int64_t end, int64_t grain, const Body& body) {
  if (end <= begin) return;
  const int64_t blocks = (end - begin + grain - 1) / grain;
  const int64_t parts = std::min<int64_t>(blocks, thread_count());
  if (parts <= 1) {
    body(begin, end);
    return;
  }
  std::exception_ptr error;
  std::atomic_flag taken = ATOMIC_FLAG_INIT;
#pragma omp parallel for schedule(static) num_threads(static_cast <int>(parts))
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t first = begin + (blocks * part / parts) * grain;
    const int64_t last = std::min(end, begin + (blocks * (part + 1) / parts) * grain);
    try {
      body(first, last);
    } catch (...) {
      if (!taken.test_and_set()) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

// Calls body(block, begin, end) for every block of `block_size` elements of [0, size), the last one shorter. The blocks
// are the same for any thread count, so a reduction over per-block partial results is deterministic.
template <class Body>
void parallel_blocks(int64_t size, int64_t block_size, const Body& body) {
  const int64_t blocks = (size + block_size - 1) / block_size;
  parallel_for(0, blocks, 1, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block)
      body(block, block * block_size, std::min(size, (block + 1) * block_size));
  });
}

}  // namespace pare
