// Batches for training and evaluation, prepared ahead of the step in threads of their own.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <thread>
#include <vector>

#include "src/core/files.hpp"
#include "src/data/binding.hpp"
#include "src/data/sample_writer.hpp"

namespace pare {

struct LoaderConfig {
  int64_t batch = 128;
  uint64_t seed = 0;       // of the order and the augmentations
  bool shuffle = false;    // false: 0 .. size-1 in every epoch
  bool drop_last = false;  // true: a last batch that is not full is left out
  Preprocess preprocess;
  std::vector<Augmentation> augmentations;
  int prefetch = 4;  // batches prepared ahead; fewer, down to one, where they would take more than 512 MB
  int threads = 0;   // 0: one, or thread_count() where samples are decoded
  // From bind_inputs(); by default the first array is the only input, as float. Its batch size wins over `batch`, and
  // then the last batch is filled up with copies of its last sample.
  Binding binding;
};

// A tensor of a batch, 64-byte aligned.
struct BatchArray {
  DType dtype = DType::undefined;
  Shape shape;  // the batch dimension comes first, except in arrays that all samples share
  std::byte* data = nullptr;

  // The elements as T; T's size must be the dtype's.
  template <class T>
  std::span<T> as() const {
    return {reinterpret_cast<T*>(data), static_cast<size_t>(element_count(shape))};
  }
};

struct Batch {
  std::vector<BatchArray> inputs;   // in the order of the model's inputs
  std::vector<BatchArray> targets;  // [size, ...] as float32, in the order of the data set's targets
  std::span<int64_t> labels;        // [size]; empty when the data set is not labelled
  std::span<int64_t> indices;       // [size]: which samples of the data set
  // [size], with mixup: row i of inputs and targets is shares[i] of its sample and the rest of that of row size - 1 -
  // i. Labels and indices stay those of the row's sample. Empty: nothing is mixed.
  std::span<float> shares;
  int64_t size = 0;  // samples
  int64_t rows = 0;  // of the inputs: more than `size` where copies of the last sample fill them up
};

// The order of an epoch is a function of (seed, epoch), an augmented sample one of (seed, epoch, index): start(epoch,
// batch) continues exactly where an earlier run stopped, for any number of threads. All functions are for one thread,
// the consumer.
class Loader {
 public:
  // `dataset` must outlive the loader. Memory: a batch more than are prefetched. Throws (exit 2) for a config that
  // cannot be or does not fit the samples, and when drop_last leaves no batch.
  Loader(const Dataset& dataset, const LoaderConfig& config);
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  int64_t batches_per_epoch() const { return batches_per_epoch_; }
  // Of all batches of an epoch together.
  int64_t samples_per_epoch() const { return std::min(dataset_.size(), batches_per_epoch_ * config_.batch); }

  // Begins to prepare `epoch` from batch `first_batch` on (0 .. batches_per_epoch()); what was being prepared is
  // dropped.
  void start(int64_t epoch, int64_t first_batch = 0);

  // The next batch, valid until the next call of next() or start(); nullptr at the end of the epoch and before the
  // first start(). Rethrows what went wrong while this batch was prepared; the epoch is over then.
  const Batch* next();

  // Seconds that next() has waited for batches since the loader was made, the first batch of each epoch included.
  double waited_seconds() const { return waited_seconds_; }

 private:
  // A batch's buffers, reused for every prefetch+1'th batch.
  struct Slot {
    std::vector<Bytes> memory;
    std::vector<int64_t> labels;
    std::vector<int64_t> indices;
    std::vector<float> shares;
    Batch batch;
    bool ready = false;
    std::exception_ptr error;
  };

  Slot& slot_of(int64_t batch) { return slots_[static_cast<size_t>(batch % static_cast<int64_t>(slots_.size()))]; }
  // Working memory of a thread.
  struct Scratch {
    SampleWriter::Scratch sample;
    std::vector<float> floats;
  };

  BatchArray allocate(Slot& slot, DType dtype, Shape shape) const;
  void prepare_slot(Slot& slot) const;
  void prepare_batches(const std::stop_token& stop);
  void fill(Slot& slot, int64_t batch, Scratch& scratch) const;
  void fill_inputs(Slot& slot, int64_t size, int64_t rows, Scratch& scratch) const;
  void fill_targets(Slot& slot, int64_t size, Scratch& scratch) const;
  void write_input(size_t input, int64_t index, Scratch& scratch, std::byte* target) const;

  const Dataset& dataset_;
  const LoaderConfig config_;
  const double mixup_;                                // strength; 0: nothing is mixed
  std::vector<std::optional<SampleWriter>> writers_;  // by input; none where nothing is preprocessed
  int64_t batches_per_epoch_ = 0;
  double waited_seconds_ = 0;

  std::mutex mutex_;  // guards everything below; a slot being filled belongs to its thread
  std::condition_variable_any work_;
  std::condition_variable done_;
  int64_t epoch_ = 0;
  std::vector<int64_t> order_;  // of epoch_; constant while threads work
  int64_t consumed_ = 0;        // batches that next() has taken back
  int64_t handed_out_ = 0;      // batches that next() has returned: consumed_ or one more
  int64_t taken_ = 0;           // batches that threads have begun
  int64_t end_ = 0;             // where the epoch ends; 0 before the first start()
  int working_ = 0;             // threads filling a slot
  std::vector<Slot> slots_;
  std::vector<std::jthread> threads_;  // last: they stop and are joined before anything they use goes
};

}  // namespace pare
