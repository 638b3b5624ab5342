#include <doctest/doctest.h>
#include <unistd.h>

#include "src/core/free_memory.hpp"

namespace pare {
namespace {

TEST_CASE("free_memory: more than a page, less than the machine has") {
  const int64_t page = sysconf(_SC_PAGESIZE);
  const int64_t free = free_memory();
  CHECK(free > page);
  CHECK(free < page * sysconf(_SC_PHYS_PAGES));
}

}  // namespace
}  // namespace pare
