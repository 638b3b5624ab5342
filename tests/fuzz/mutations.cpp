// Damaged models are refused with exit 3: none crashes, hangs, or asks for more memory than its own size explains.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <new>

#include <doctest/doctest.h>
#include <malloc.h>

#include "src/core/random.hpp"
#include "tests/fuzz/read_everything.hpp"

namespace {

std::atomic<size_t> live_bytes = 0;
std::atomic<size_t> peak_bytes = 0;

void* counted(size_t size) {
  void* memory = std::malloc(std::max<size_t>(size, 1));
  if (memory == nullptr) throw std::bad_alloc();
  const size_t live = live_bytes += malloc_usable_size(memory);
  if (live > peak_bytes) peak_bytes = live;
  return memory;
}

void uncounted(void* memory) {
  if (memory != nullptr) live_bytes -= malloc_usable_size(memory);
  std::free(memory);
}

}  // namespace

void* operator new(size_t size) { return counted(size); }
void* operator new[](size_t size) { return counted(size); }
void operator delete(void* memory) noexcept { uncounted(memory); }
void operator delete[](void* memory) noexcept { uncounted(memory); }
void operator delete(void* memory, size_t) noexcept { uncounted(memory); }
void operator delete[](void* memory, size_t) noexcept { uncounted(memory); }

using namespace pare;

namespace {

// Known elements of sizes (8 MB) and sparse tensors (16 MB) may be as large as that in any model.
constexpr size_t allowed_always = size_t{48} << 20;
constexpr size_t allowed_per_byte = 1000;

std::vector<std::string> corpus() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator("tests/fuzz/corpus")) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> models;
  for (const auto& path : paths) models.push_back(read_file(path.string()));
  return models;
}

void check_reading(const std::string& bytes) {
  const size_t before = live_bytes;
  peak_bytes = before;
  const auto start = std::chrono::steady_clock::now();
  test::read_everything(bytes);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  CHECK(peak_bytes - before < allowed_always + allowed_per_byte * bytes.size());
  CHECK(taken.count() < 2.0);
}

// A byte replaced, a stretch cut out, doubled or moved, or the end cut off.
std::string mutated(std::string bytes, RandomKey key) {
  auto below = [&, next = uint64_t{0}](size_t limit) mutable {
    return static_cast<size_t>(random_below(limit, key, next++));
  };
  constexpr char values[] = {0, 1, 127, static_cast<char>(128), static_cast<char>(255)};
  for (size_t edits = 1 + below(4); edits > 0 && !bytes.empty(); --edits) {
    const size_t at = below(bytes.size());
    const size_t count = 1 + below(std::min<size_t>(bytes.size() - at, 16));
    switch (below(5)) {
      case 0:
        bytes[at] = values[below(5)];
        break;
      case 1:
        bytes[at] = static_cast<char>(below(256));
        break;
      case 2:
        bytes.erase(at, count);
        break;
      case 3:
        bytes.insert(at, bytes.substr(at, count));
        break;
      default:
        if (below(4) == 0) bytes.resize(at);
        else bytes.replace(below(bytes.size()), 0, bytes.substr(at, count));
    }
  }
  return bytes;
}

}  // namespace

TEST_CASE("fuzz: the corpus is read, or refused, within its size") {
  const auto models = corpus();
  REQUIRE(models.size() >= 25);
  size_t readable = 0;
  for (const std::string& bytes : models) {
    check_reading(bytes);
    readable += test::read_everything(bytes).empty();
  }
  CHECK(readable >= 20);
}

TEST_CASE("fuzz: damaged models are refused without harm") {
  uint32_t number = 0;
  for (const std::string& bytes : corpus())
    for (int i = 0; i < 150; ++i) check_reading(mutated(bytes, {11, ++number}));
}
