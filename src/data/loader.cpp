#include "src/data/loader.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <numeric>
#include <utility>

#include "src/core/error.hpp"
#include "src/core/random.hpp"
#include "src/core/threads.hpp"
#include "src/data/values.hpp"

namespace pare {
namespace {

int64_t count_batches(const Dataset& dataset, const LoaderConfig& config) {
  if (config.batch < 1) fail_usage("--batch: no batch can be made (got {}, expected 1 or more)", config.batch);
  if (config.prefetch < 1 || config.threads < 0)
    fail_run("loader: cannot work (got prefetch {}, expected 1 or more, and threads {}, expected 0 or more)",
             config.prefetch, config.threads);
  if (!config.drop_last) return (dataset.size() + config.batch - 1) / config.batch;
  if (config.batch > dataset.size())
    fail_usage("--batch: is larger than the data set {} (got {}, expected 1 to {}); give a smaller number",
               dataset.name(), config.batch, dataset.size());
  return dataset.size() / config.batch;
}

LoaderConfig with_batch_of_binding(LoaderConfig config) {
  if (config.binding.batch > 0) config.batch = config.binding.batch;
  return config;
}

// Of the arrays that are new in each batch.
int64_t batch_bytes(const Dataset& dataset, const LoaderConfig& config) {
  int64_t bytes = 0;
  for (const BoundInput& input : config.binding.inputs) {
    const Field& field = dataset.fields()[input.field];
    if (!field.shared) bytes += element_count(field.shape) * dtype_bits(input.dtype) / 8;
  }
  return bytes * std::min(config.batch, dataset.size());
}

// Batches that are in memory at once.
size_t count_slots(const Dataset& dataset, const LoaderConfig& config) {
  constexpr int64_t most_bytes = int64_t{512} << 20;
  const int64_t fitting = most_bytes / std::max<int64_t>(1, batch_bytes(dataset, config));
  return static_cast<size_t>(std::clamp<int64_t>(fitting, 2, std::max(2, config.prefetch + 1)));
}

int count_threads(const Dataset& dataset, const LoaderConfig& config) {
  if (config.threads > 0) return config.threads;
  return dataset.decodes() ? thread_count() : 1;
}

Shape with_first(int64_t size, Shape shape) {
  shape.insert(shape.begin(), size);
  return shape;
}

// mixup needs inputs whose values are amounts.
double checked_mixup(const Dataset& dataset, const LoaderConfig& config) {
  const double strength = mixup_strength(config.augmentations);
  if (strength <= 0) return 0;
  for (const BoundInput& input : config.binding.inputs)
    if (const Field& field = dataset.fields()[input.field]; !field.shared && input.dtype != DType::float32)
      fail_usage("--augment: mixup needs float inputs (got {} for '{}')", dtype_name(input.dtype), field.name);
  return strength;
}

// Replaces row i of [shares.size(), elements] by shares[i] of itself and the rest of row size - 1 - i.
void mix_rows(std::span<const float> shares, float* rows, int64_t elements) {
  const auto size = static_cast<int64_t>(shares.size());
  for (int64_t i = 0; i < size / 2; ++i) {
    float* const a = rows + i * elements;
    float* const b = rows + (size - 1 - i) * elements;
    const float of_a = shares[static_cast<size_t>(i)];
    const float of_b = shares[static_cast<size_t>(size - 1 - i)];
    for (int64_t k = 0; k < elements; ++k) {
      const float difference = a[k] - b[k];
      a[k] = b[k] + of_a * difference;
      b[k] = b[k] + (1 - of_b) * difference;
    }
  }
}

}  // namespace

Loader::Loader(const Dataset& dataset, const LoaderConfig& config)
    : dataset_(dataset),
      config_(with_batch_of_binding(config)),
      mixup_(checked_mixup(dataset, config_)),
      batches_per_epoch_(count_batches(dataset, config_)),
      slots_(count_slots(dataset, config_)) {
  for (const BoundInput& input : config_.binding.inputs) {
    writers_.emplace_back();
    if (!input.preprocessed) continue;
    const Shape& shape = dataset.fields()[input.field].shape;
    writers_.back().emplace(dataset, input.field, input.whole ? Shape(shape.begin() + 1, shape.end()) : shape,
                            config.preprocess, config.augmentations, config.seed, input.order);
  }
  for (Slot& slot : slots_) prepare_slot(slot);
  order_.resize(static_cast<size_t>(dataset.size()));
  const int threads = count_threads(dataset, config_);
  for (int i = 0; i < threads; ++i)
    threads_.emplace_back([this](const std::stop_token& stop) { prepare_batches(stop); });
}

BatchArray Loader::allocate(Slot& slot, DType dtype, Shape shape) const {
  BatchArray array{dtype, std::move(shape), nullptr};
  const auto bytes = static_cast<size_t>(element_count(array.shape) * dtype_bits(dtype) / 8);
  slot.memory.push_back(Bytes::allocate(bytes, &array.data));
  return array;
}

void Loader::prepare_slot(Slot& slot) const {
  const int64_t largest = config_.binding.batch > 0 ? config_.batch : std::min(config_.batch, dataset_.size());
  Scratch scratch;
  for (size_t i = 0; i < config_.binding.inputs.size(); ++i) {
    const BoundInput& input = config_.binding.inputs[i];
    const Field& field = dataset_.fields()[input.field];
    const bool as_it_is = field.shared || input.whole;
    BatchArray array = allocate(slot, input.dtype,
                                as_it_is ? field.shape : with_first(largest, input_shape(field.shape, input.order)));
    if (field.shared) write_input(i, 0, scratch, array.data);
    slot.batch.inputs.push_back(std::move(array));
  }
  for (const Field& target : dataset_.targets())
    slot.batch.targets.push_back(allocate(slot, DType::float32, with_first(largest, target.shape)));
  slot.labels.resize(dataset_.labelled() ? static_cast<size_t>(largest) : 0);
  slot.indices.resize(static_cast<size_t>(largest));
  slot.shares.resize(mixup_ > 0 ? static_cast<size_t>(largest) : 0);
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
  Scratch scratch;
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

void Loader::write_input(size_t input, int64_t index, Scratch& scratch, std::byte* target) const {
  const BoundInput& bound = config_.binding.inputs[input];
  const Field& field = dataset_.fields()[bound.field];
  if (writers_[input]) {
    if (bound.dtype == DType::float32)
      return writers_[input]->write(epoch_, index, scratch.sample, reinterpret_cast<float*>(target));
    const int64_t elements = writers_[input]->sample_elements();
    scratch.floats.resize(static_cast<size_t>(elements));
    writers_[input]->write(epoch_, index, scratch.sample, scratch.floats.data());
    convert_elements(DType::float32, reinterpret_cast<const std::byte*>(scratch.floats.data()), elements, bound.dtype,
                     target);
    return;
  }
  const std::byte* stored = dataset_.stored(bound.field, index, scratch.sample.stored);
  const auto refused = convert_elements(field.dtype, stored, element_count(field.shape), bound.dtype, target);
  if (refused)
    fail_input("{}: '{}' has a value that the model's input cannot have (got {} at element {}, expected {})",
               dataset_.sample_name(index), field.name,
               element_text(field.dtype, stored + *refused * dtype_bits(field.dtype) / 8), *refused,
               dtype_name(bound.dtype));
}

void Loader::fill_inputs(Slot& slot, int64_t size, int64_t rows, Scratch& scratch) const {
  for (size_t input = 0; input < slot.batch.inputs.size(); ++input) {
    const BoundInput& bound = config_.binding.inputs[input];
    const Field& field = dataset_.fields()[bound.field];
    if (field.shared) continue;
    BatchArray& array = slot.batch.inputs[input];
    const int64_t elements = element_count(field.shape);
    const int64_t bytes = elements * dtype_bits(bound.dtype) / 8;
    if (!bound.whole) array.shape[0] = rows;
    for (int64_t i = 0; i < size; ++i)
      write_input(input, slot.indices[static_cast<size_t>(i)], scratch, array.data + i * bytes);
    if (!slot.batch.shares.empty()) mix_rows(slot.batch.shares, reinterpret_cast<float*>(array.data), elements);
    for (int64_t i = size; i < rows; ++i)
      std::memcpy(array.data + i * bytes, array.data + (size - 1) * bytes, static_cast<size_t>(bytes));
  }
}

void Loader::fill_targets(Slot& slot, int64_t size, Scratch& scratch) const {
  for (size_t target = 0; target < slot.batch.targets.size(); ++target) {
    BatchArray& array = slot.batch.targets[target];
    const Field& field = dataset_.targets()[target];
    const int64_t elements = element_count(field.shape);
    auto* const values = reinterpret_cast<float*>(array.data);
    array.shape[0] = size;
    for (int64_t i = 0; i < size; ++i)
      to_floats(field.dtype,
                dataset_.stored_target(target, slot.indices[static_cast<size_t>(i)], scratch.sample.stored), elements,
                values + i * elements);
    if (!slot.batch.shares.empty()) mix_rows(slot.batch.shares, values, elements);
  }
}

void Loader::fill(Slot& slot, int64_t batch, Scratch& scratch) const {
  const int64_t first = batch * config_.batch;
  const int64_t size = std::min(config_.batch, dataset_.size() - first);
  const int64_t rows = config_.binding.batch > 0 ? config_.batch : size;
  for (int64_t i = 0; i < size; ++i) {
    const auto row = static_cast<size_t>(i);
    const int64_t index = order_[static_cast<size_t>(first + i)];
    slot.indices[row] = index;
    if (!slot.labels.empty()) slot.labels[row] = dataset_.label(index);
    if (mixup_ > 0) slot.shares[row] = static_cast<float>(mixup_share(mixup_, config_.seed, epoch_, index));
  }
  slot.batch.labels = std::span(slot.labels).first(slot.labels.empty() ? 0 : static_cast<size_t>(size));
  slot.batch.indices = std::span(slot.indices).first(static_cast<size_t>(size));
  slot.batch.shares = std::span(slot.shares).first(slot.shares.empty() ? 0 : static_cast<size_t>(size));
  slot.batch.size = size;
  slot.batch.rows = rows;
  fill_inputs(slot, size, rows, scratch);
  fill_targets(slot, size, scratch);
}

}  // namespace pare
