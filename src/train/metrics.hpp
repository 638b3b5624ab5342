// How well a model does on a data set.
#pragma once

#include <functional>

#include "src/data/loader.hpp"
#include "src/exec/executor.hpp"

namespace pare {

struct Metrics {
  int64_t samples = 0;
  double accuracy = 0;  // share of samples whose largest output is the label's
  double top5 = 0;      // share whose label is among the five largest; equal to 1 for at most five classes
  double loss = 0;      // mean cross-entropy
};

// A batch's inputs as tensors on the device, in the order of the model's inputs. They alias the batch on the CPU: valid
// until the loader's next batch.
std::vector<at::Tensor> inputs_of(const Batch& batch, at::Device device);
// A batch's targets, likewise.
std::vector<at::Tensor> targets_of(const Batch& batch, at::Device device);
// A batch's labels on the device; undefined when there are none.
at::Tensor labels_of(const Batch& batch, at::Device device);
// A batch's shares of mixup on the device; undefined when nothing is mixed.
at::Tensor shares_of(const Batch& batch, at::Device device);

// The rows of a model's outputs that belong to the batch's samples. An output whose first dimension is not the batch's
// is taken as a whole for the only sample of its batch; throws (exit 3) for such an output of a larger batch.
std::vector<at::Tensor> rows_of(const std::vector<at::Tensor>& outputs, const Batch& batch);

// The outputs of a model for a batch, on any device.
using Forward = std::function<std::vector<at::Tensor>(const Batch&)>;

// Every output for every sample in the loader's order, as rows_of, put together on the CPU. No gradients. Throws
// (exit 3) also when the outputs of two batches cannot be put together.
std::vector<at::Tensor> predict(const Forward& forward, Loader& loader);
std::vector<at::Tensor> predict(const Executor& executor, const Parameters& parameters, Loader& loader,
                                at::Device device);

// Metrics of logits [N, K] against the loader's data set order of labels.
Metrics measure(const at::Tensor& logits, const at::Tensor& labels);

// The labels of a data set, in order.
at::Tensor labels_of(const Dataset& dataset);

}  // namespace pare
