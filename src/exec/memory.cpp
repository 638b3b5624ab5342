#include "src/exec/memory.hpp"

#include <malloc.h>

namespace pare {

void keep_freed_memory() {
  constexpr int largest_block = 32 << 20;
  constexpr int kept_at_top = 1 << 30;
  mallopt(M_MMAP_THRESHOLD, largest_block);
  mallopt(M_TRIM_THRESHOLD, kept_at_top);
  mallopt(M_TOP_PAD, 64 << 20);
}

void return_freed_memory() { malloc_trim(0); }

}  // namespace pare
