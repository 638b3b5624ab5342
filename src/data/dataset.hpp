// A set of samples of one shape, with or without class labels, and views of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/graph/tensor.hpp"

namespace pare {

// Where the channels of images are: before rows and columns, or after them. Of a model: N is the batch.
enum class Layout { unknown, nchw, nhwc };

// Where the channels of a sample are, and where the model wants them: first [C,H,W], or last [H,W,C].
struct ChannelOrder {
  bool stored_last = false;
  bool input_last = false;

  bool operator==(const ChannelOrder&) const = default;
};

// A sample's shape as the model takes it: [C,H,W] and [H,W,C] exchanged where the order says so.
Shape input_shape(const Shape& stored, ChannelOrder order);

// One array that every sample has.
struct Field {
  std::string name;                 // how --input NAME=KEY calls it
  DType dtype = DType::undefined;   // as it is stored
  Shape shape;                      // of a sample, without the batch dimension: [C,H,W] for images, [F] for vectors
  bool shared = false;              // one array for all samples: a sampling rate, an initial state
  Layout layout = Layout::unknown;  // of images, where the data tells
};

// Immutable; every function may be called from several threads at once. Sample indices are 0 .. size()-1.
class Dataset {
 public:
  virtual ~Dataset() = default;

  // Where the samples come from: the first part of messages.
  virtual std::string name() const = 0;
  // "train-images-idx3-ubyte: sample 17": the sample as the user finds it in the file, whatever view it is seen
  // through.
  virtual std::string sample_name(int64_t index) const = 0;

  virtual int64_t size() const = 0;
  // What may be bound to the inputs of a model; at least one.
  virtual const std::vector<Field>& fields() const = 0;
  // The elements of a field of sample `index` as native values of the field's dtype: where they lie in memory, or
  // written to `scratch`. Not aligned.
  virtual const std::byte* stored(size_t field, int64_t index, std::vector<std::byte>& scratch) const = 0;

  // What the outputs of a model are to be: values to regress to, or outputs of a reference. Empty without such. A
  // target that is named as an output belongs to it, others to the outputs in their order.
  virtual const std::vector<Field>& targets() const;
  // As stored(), of a target.
  virtual const std::byte* stored_target(size_t target, int64_t index, std::vector<std::byte>& scratch) const;

  // Whether stored() works for each sample, as decoding does: loaders then use several threads.
  virtual bool decodes() const { return false; }

  // Of the first field: all there is of data sets with one array.
  const Shape& sample_shape() const { return fields().front().shape; }
  DType element_type() const { return fields().front().dtype; }
  // The stored values of the first field of sample `index` as float, unscaled.
  void read(int64_t index, float* sample) const;

  virtual bool labelled() const = 0;
  // The sample's class. Only when labelled().
  virtual int64_t label(int64_t index) const = 0;
  // Highest label + 1 of the whole set, also for a view of it; 0 when it is not labelled.
  virtual int64_t class_count() const = 0;
};

using DatasetPtr = std::shared_ptr<const Dataset>;

// Samples `indices` of `dataset`, in that order. A view: samples are not copied.
DatasetPtr subset(DatasetPtr dataset, std::vector<int64_t> indices);

struct HoldoutSplit {
  DatasetPtr train;
  DatasetPtr held_out;
};

// `count` samples drawn by seed, and the others; both in file order. Throws (exit 2) unless 0 < count < size.
HoldoutSplit split_holdout(const DatasetPtr& dataset, int64_t count, uint64_t seed);

// The first `count` samples of a shuffle by seed, in shuffled order, so a smaller limit is a prefix of a larger one;
// the data set itself when it has no more than `count`. Throws (exit 2) when count < 1.
DatasetPtr limit(const DatasetPtr& dataset, int64_t count, uint64_t seed);

// Throws (exit 3) naming the first sample whose label is not in 0 .. classes-1, or when the data set has no labels.
void check_labels(const Dataset& dataset, int64_t classes);

}  // namespace pare
