#include "src/data/dataset.hpp"

#include <algorithm>
#include <span>

#include "src/core/error.hpp"
#include "src/core/random.hpp"
#include "src/data/values.hpp"

namespace pare {
namespace {

class Subset final : public Dataset {
 public:
  Subset(DatasetPtr whole, std::vector<int64_t> indices) : whole_(std::move(whole)), indices_(std::move(indices)) {}

  std::string name() const override { return whole_->name(); }
  std::string sample_name(int64_t index) const override { return whole_->sample_name(at(index)); }
  int64_t size() const override { return static_cast<int64_t>(indices_.size()); }
  const std::vector<Field>& fields() const override { return whole_->fields(); }
  const std::byte* stored(size_t field, int64_t index, std::vector<std::byte>& scratch) const override {
    return whole_->stored(field, at(index), scratch);
  }
  const std::vector<Field>& targets() const override { return whole_->targets(); }
  const std::byte* stored_target(size_t target, int64_t index, std::vector<std::byte>& scratch) const override {
    return whole_->stored_target(target, at(index), scratch);
  }
  bool decodes() const override { return whole_->decodes(); }
  bool labelled() const override { return whole_->labelled(); }
  int64_t label(int64_t index) const override { return whole_->label(at(index)); }
  int64_t class_count() const override { return whole_->class_count(); }

 private:
  int64_t at(int64_t index) const { return indices_[static_cast<size_t>(index)]; }

  DatasetPtr whole_;
  std::vector<int64_t> indices_;
};

}  // namespace

Shape input_shape(const Shape& stored, ChannelOrder order) {
  if (stored.size() != 3 || order.stored_last == order.input_last) return stored;
  return order.input_last ? Shape{stored[1], stored[2], stored[0]} : Shape{stored[2], stored[0], stored[1]};
}

const std::vector<Field>& Dataset::targets() const {
  static const std::vector<Field> none;
  return none;
}

const std::byte* Dataset::stored_target(size_t target, int64_t, std::vector<std::byte>&) const {
  fail_run("{}: has no target {}", name(), target);
}

void Dataset::read(int64_t index, float* sample) const {
  std::vector<std::byte> scratch;
  to_floats(element_type(), stored(0, index, scratch), element_count(sample_shape()), sample);
}

DatasetPtr subset(DatasetPtr dataset, std::vector<int64_t> indices) {
  for (const int64_t index : indices)
    if (index < 0 || index >= dataset->size())
      fail_run("{}: no such sample (got index {}, expected 0 to {})", dataset->name(), index, dataset->size() - 1);
  return std::make_shared<Subset>(std::move(dataset), std::move(indices));
}

HoldoutSplit split_holdout(const DatasetPtr& dataset, int64_t count, uint64_t seed) {
  const int64_t size = dataset->size();
  if (count < 1 || count >= size)
    fail_usage("--holdout: {} cannot be split so (got {} of {} samples, expected 1 to {}); give a smaller number",
               dataset->name(), count, size, size - 1);
  const std::vector<int64_t> order = permutation(size, {seed, random_stream("holdout")});
  std::vector<int64_t> held_out(order.begin(), order.begin() + count);
  std::vector<int64_t> train(order.begin() + count, order.end());
  std::sort(held_out.begin(), held_out.end());
  std::sort(train.begin(), train.end());
  return {subset(dataset, std::move(train)), subset(dataset, std::move(held_out))};
}

DatasetPtr limit(const DatasetPtr& dataset, int64_t count, uint64_t seed) {
  if (count < 1) fail_usage("--limit: no samples would be left (got {}, expected 1 or more)", count);
  if (count >= dataset->size()) return dataset;
  std::vector<int64_t> order = permutation(dataset->size(), {seed, random_stream("limit")});
  order.resize(static_cast<size_t>(count));
  return subset(dataset, std::move(order));
}

void check_labels(const Dataset& dataset, int64_t classes) {
  if (!dataset.labelled()) fail_input("{}: has no labels (expected classes 0 to {})", dataset.name(), classes - 1);
  for (int64_t index = 0; index < dataset.size(); ++index) {
    const int64_t label = dataset.label(index);
    if (label < 0 || label >= classes)
      fail_input("{}: label is out of range (got {}, expected 0 to {}); the model has {} classes",
                 dataset.sample_name(index), label, classes - 1, classes);
  }
}

}  // namespace pare
