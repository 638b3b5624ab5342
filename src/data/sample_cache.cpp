#include "src/data/sample_cache.hpp"

#include <cstring>

namespace pare {
namespace {

constexpr int64_t absent = -1;
constexpr int64_t being_written = -2;

// Bytes that the caches of this process may still fill.
std::atomic<int64_t> reserved_by_caches{0};

}  // namespace

SampleCache::SampleCache(int64_t samples, int64_t used, int64_t bytes, int64_t free_bytes) : bytes_(bytes) {
  const int64_t size = used * bytes;
  if (size > free_bytes / 2 - reserved_by_caches) return;
  reserved_by_caches += size;
  slots_ = used;
  memory_ = std::unique_ptr<std::byte[]>(new std::byte[static_cast<size_t>(size)]);
  slot_of_ = std::make_unique<std::atomic<int64_t>[]>(static_cast<size_t>(samples));
  for (int64_t i = 0; i < samples; ++i) slot_of_[static_cast<size_t>(i)].store(absent, std::memory_order_relaxed);
}

SampleCache::~SampleCache() { reserved_by_caches -= slots_ * bytes_; }

const std::byte* SampleCache::find(int64_t index) const {
  if (!keeps()) return nullptr;
  const int64_t slot = slot_of_[static_cast<size_t>(index)].load(std::memory_order_acquire);
  return slot < 0 ? nullptr : memory_.get() + slot * bytes_;
}

void SampleCache::keep(int64_t index, const std::byte* sample) const {
  if (!keeps()) return;
  std::atomic<int64_t>& slot_of = slot_of_[static_cast<size_t>(index)];
  int64_t expected = absent;
  if (!slot_of.compare_exchange_strong(expected, being_written)) return;
  // A full cache leaves the sample as being written for ever: it is not asked again.
  const int64_t slot = next_.fetch_add(1);
  if (slot >= slots_) return;
  std::memcpy(memory_.get() + slot * bytes_, sample, static_cast<size_t>(bytes_));
  slot_of.store(slot, std::memory_order_release);
}

}  // namespace pare
