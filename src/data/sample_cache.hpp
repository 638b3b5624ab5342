// Samples that were decoded once, kept while they fit in memory.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace pare {

// Each sample is written once, by the thread that needs it first; all functions may be called from several threads at
// once.
class SampleCache {
 public:
  // For samples 0 .. `samples` - 1 of `bytes` each, of which at most `used` different ones will be kept. Keeps nothing
  // where those do not fit in half of `free_bytes`, less what the other caches of the process may still fill.
  SampleCache(int64_t samples, int64_t used, int64_t bytes, int64_t free_bytes);
  SampleCache(const SampleCache&) = delete;
  SampleCache& operator=(const SampleCache&) = delete;
  ~SampleCache();

  bool keeps() const { return slots_ > 0; }
  // The sample; null when it is not there (yet).
  const std::byte* find(int64_t index) const;
  // No effect when the sample is there already, or the cache is full.
  void keep(int64_t index, const std::byte* sample) const;

 private:
  int64_t bytes_;
  int64_t slots_ = 0;
  std::unique_ptr<std::byte[]> memory_;              // pages that nobody has written to take no memory
  std::unique_ptr<std::atomic<int64_t>[]> slot_of_;  // by sample; negative where it is not (yet) there
  mutable std::atomic<int64_t> next_{0};
};

}  // namespace pare
