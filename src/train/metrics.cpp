#include "src/train/metrics.hpp"

#include <algorithm>

#include <ATen/ops/argmax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/topk.h>

#include "src/core/error.hpp"
#include "src/exec/tensors.hpp"
#include "src/train/loss.hpp"

namespace pare {

namespace {

at::Tensor tensor_of(const BatchArray& array, at::Device device) {
  const Shape& sizes = array.shape;
  const at::ScalarType type = scalar_type_of(array.dtype);
  if (sizes.size() != 4 || array.dtype != DType::float32) return at::from_blob(array.data, sizes, type).to(device);
  // One channel lies the same in both layouts, and only the strides say which is meant: with those of channels_last
  // every layer behind computes in that layout.
  if (sizes[1] == 1) return at::from_blob(array.data, sizes, {sizes[2] * sizes[3], 1, sizes[3], 1}, type).to(device);
  return at::from_blob(array.data, sizes, type).to(device).contiguous(at::MemoryFormat::ChannelsLast);
}

std::vector<at::Tensor> tensors_of(const std::vector<BatchArray>& arrays, at::Device device) {
  std::vector<at::Tensor> tensors;
  for (const BatchArray& array : arrays) tensors.push_back(tensor_of(array, device));
  return tensors;
}

}  // namespace

std::vector<at::Tensor> inputs_of(const Batch& batch, at::Device device) { return tensors_of(batch.inputs, device); }

std::vector<at::Tensor> targets_of(const Batch& batch, at::Device device) { return tensors_of(batch.targets, device); }

at::Tensor labels_of(const Batch& batch, at::Device device) {
  if (batch.labels.empty()) return {};
  return at::from_blob(batch.labels.data(), {batch.size}, at::kLong).to(device);
}

at::Tensor shares_of(const Batch& batch, at::Device device) {
  if (batch.shares.empty()) return {};
  return at::from_blob(batch.shares.data(), {batch.size}, at::kFloat).to(device);
}

at::Tensor labels_of(const Dataset& dataset) {
  at::Tensor labels = at::empty({dataset.size()}, at::kLong);
  auto* target = labels.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < dataset.size(); ++i) target[i] = dataset.label(i);
  return labels;
}

namespace {

// The rows of a batch's output that belong to its samples.
at::Tensor rows_of(const at::Tensor& output, const Batch& batch, size_t number) {
  const int64_t rows = batch.rows;
  if (output.dim() > 0 && output.size(0) == rows) return output.narrow(0, 0, batch.size);
  if (rows != 1)
    fail_input("output {} has no batch dimension (got shape {}, batch {})", number, shape_text(output.sizes().vec()),
               rows);
  return output.unsqueeze(0);
}

}  // namespace

std::vector<at::Tensor> predict(const Forward& forward, Loader& loader) {
  const c10::AutoGradMode no_grad(false);
  std::vector<std::vector<at::Tensor>> batches;  // by output
  loader.start(0);
  while (const Batch* batch = loader.next()) {
    const std::vector<at::Tensor> outputs = forward(*batch);
    batches.resize(outputs.size());
    for (size_t i = 0; i < outputs.size(); ++i) {
      batches[i].push_back(rows_of(outputs[i], *batch, i).to(at::kCPU).contiguous());
      const auto first = batches[i].front().sizes().slice(1), last = batches[i].back().sizes().slice(1);
      if (first != last)
        fail_input("output {} has another shape for another sample (got {}, expected {})", i, shape_text(last.vec()),
                   shape_text(first.vec()));
    }
  }
  std::vector<at::Tensor> whole;
  for (const auto& parts : batches) whole.push_back(at::cat(parts));
  return whole;
}

std::vector<at::Tensor> predict(const Executor& executor, const Parameters& parameters, Loader& loader,
                                at::Device device) {
  const auto forward = [&](const Batch& batch) { return executor.run(parameters, inputs_of(batch, device), false); };
  return predict(forward, loader);
}

Metrics measure(const at::Tensor& logits, const at::Tensor& labels) {
  if (logits.dim() != 2) fail_input("metrics: the output is not [samples, classes] (got {} dimensions)", logits.dim());
  Metrics metrics;
  metrics.samples = logits.size(0);
  const auto samples = static_cast<double>(metrics.samples);
  metrics.accuracy = static_cast<double>(at::eq(at::argmax(logits, 1), labels).sum().item<int64_t>()) / samples;
  const int64_t k = std::min<int64_t>(5, logits.size(1));
  const at::Tensor best = std::get<1>(at::topk(logits, k, 1));
  metrics.top5 = static_cast<double>(at::eq(best, labels.unsqueeze(1)).sum().item<int64_t>()) / samples;
  metrics.loss = cross_entropy(logits, labels, 0).item<double>();
  return metrics;
}

}  // namespace pare
