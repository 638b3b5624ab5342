#include "src/data/loader.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <numeric>

#include "src/core/error.hpp"
#include "src/core/random.hpp"

namespace pare {
namespace {

int64_t count_batches(const Dataset& dataset, const LoaderConfig& config) {
  if (config.batch < 1) fail_usage("--batch: no batch can be made (got {}, expected 1 or more)", config.batch);
  if (config.prefetch < 1 || config.threads < 1)
    fail_run("loader: cannot work (got prefetch {} and threads {}, expected 1 or more)", config.prefetch,
             config.threads);
  if (!config.drop_last) return (dataset.size() + config.batch - 1) / config.batch;
  if (config.batch > dataset.size())
    fail_usage("--batch: is larger than the data set {} (got {}, expected 1 to {}); give a smaller number",
               dataset.name(), config.batch, dataset.size());
  return dataset.size() / config.batch;
}

}  // namespace

Loader::Loader(const Dataset& dataset, const LoaderConfig& config)
    : dataset_(dataset),
      config_(config),
      writer_(dataset, config.preprocess, config.augmentations, config.seed),
      batches_per_epoch_(count_batches(dataset, config)),
      slots_(static_cast<size_t>(config.prefetch) + 1) {
  const auto largest = static_cast<size_t>(std::min(config.batch, dataset.size()));
  const size_t elements = largest * static_cast<size_t>(writer_.sample_elements());
  for (Slot& slot : slots_) {
    std::byte* memory = nullptr;
    slot.memory = Bytes::allocate(elements * sizeof(float), &memory);
    slot.inputs = {reinterpret_cast<float*>(memory), elements};
    slot.labels.resize(dataset.labelled() ? largest : 0);
    slot.indices.resize(largest);
  }
  order_.resize(static_cast<size_t>(dataset.size()));
  for (int i = 0; i < config.threads; ++i)
    threads_.emplace_back([this](const std::stop_token& stop) { prepare_batches(stop); });
}

void Loader::start(int64_t epoch, int64_t first_batch) {
  if (epoch < 0 || first_batch < 0 || first_batch > batches_per_epoch_)
    fail_run("loader: no such position (got epoch {} batch {}, expected batch 0 to {})", epoch, first_batch,
             batches_per_epoch_);
  std::unique_lock lock(mutex_);
  end_ = 0;
  done_.wait(lock, [this] { return working_ == 0; });
  std::iota(order_.begin(), order_.end(), int64_t{0});
  if (config_.shuffle)
    shuffle_in_place(order_, {config_.seed, random_stream("epoch order")}, static_cast<uint32_t>(epoch));
  for (Slot& slot : slots_) {
    slot.ready = false;
    slot.error = nullptr;
  }
  epoch_ = epoch;
  consumed_ = handed_out_ = taken_ = first_batch;
  end_ = batches_per_epoch_;
  lock.unlock();
  work_.notify_all();
}

const Batch* Loader::next() {
  std::unique_lock lock(mutex_);
  if (consumed_ < handed_out_) {
    slot_of(consumed_).ready = false;
    ++consumed_;
    work_.notify_one();
  }
  if (handed_out_ >= end_) return nullptr;
  Slot& slot = slot_of(handed_out_);
  if (!slot.ready) {
    const auto begin = std::chrono::steady_clock::now();
    done_.wait(lock, [&slot] { return slot.ready; });
    waited_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  if (slot.error) {
    end_ = 0;
    std::rethrow_exception(slot.error);
  }
  ++handed_out_;
  return &slot.batch;
}

void Loader::prepare_batches(const std::stop_token& stop) {
  std::vector<float> scratch;
  std::unique_lock lock(mutex_);
  for (;;) {
    const bool more = work_.wait(
        lock, stop, [this] { return taken_ < end_ && taken_ < consumed_ + static_cast<int64_t>(slots_.size()); });
    if (!more || stop.stop_requested()) return;
    const int64_t batch = taken_++;
    Slot& slot = slot_of(batch);
    ++working_;
    lock.unlock();
    std::exception_ptr error;
    try {
      fill(slot, batch, scratch);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    --working_;
    slot.error = error;
    slot.ready = true;
    done_.notify_all();
  }
}

void Loader::fill(Slot& slot, int64_t batch, std::vector<float>& scratch) const {
  const int64_t first = batch * config_.batch;
  const int64_t size = std::min(config_.batch, dataset_.size() - first);
  const int64_t elements = writer_.sample_elements();
  for (int64_t i = 0; i < size; ++i) {
    const int64_t index = order_[static_cast<size_t>(first + i)];
    slot.indices[static_cast<size_t>(i)] = index;
    if (!slot.labels.empty()) slot.labels[static_cast<size_t>(i)] = dataset_.label(index);
    writer_.write(epoch_, index, scratch, slot.inputs.data() + i * elements);
  }
  const auto count = static_cast<size_t>(size);
  slot.batch = {slot.inputs.first(count * static_cast<size_t>(elements)),
                std::span(slot.labels).first(slot.labels.empty() ? 0 : count), std::span(slot.indices).first(count),
                size};
}

}  // namespace pare
