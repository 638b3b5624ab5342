#include "src/train/metrics.hpp"

#include <algorithm>

#include <ATen/ops/argmax.h>
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

std::vector<at::Tensor> rows_of(const std::vector<at::Tensor>& outputs, const Batch& batch) {
  std::vector<at::Tensor> rows;
  for (const at::Tensor& output : outputs) {
    if (output.dim() > 0 && output.size(0) == batch.rows) {
      rows.push_back(output.narrow(0, 0, batch.size));
      continue;
    }
    if (batch.rows != 1)
      fail_input("output {} has no batch dimension (got shape {}, batch {})", rows.size(),
                 shape_text(output.sizes().vec()), batch.rows);
    rows.push_back(output.unsqueeze(0));
  }
  return rows;
}

// Every batch is copied into its place in the whole: kept by themselves, outputs would lie between what runs free and
// allocate again, and memory would grow by more than they are.
std::vector<at::Tensor> predict(const Forward& forward, Loader& loader) {
  const c10::AutoGradMode no_grad(false);
  std::vector<at::Tensor> whole;  // by output
  int64_t done = 0;
  loader.start(0);
  while (const Batch* batch = loader.next()) {
    const std::vector<at::Tensor> rows = rows_of(forward(*batch), *batch);
    whole.resize(rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      std::vector<int64_t> shape = rows[i].sizes().vec();
      shape.front() = loader.samples_per_epoch();
      if (!whole[i].defined()) whole[i] = at::empty(shape, rows[i].options().device(at::kCPU));
      const auto expected = whole[i].sizes().slice(1), got = rows[i].sizes().slice(1);
      if (got != expected)
        fail_input("output {} has another shape for another sample (got {}, expected {})", i, shape_text(got.vec()),
                   shape_text(expected.vec()));
      whole[i].narrow(0, done, batch->size).copy_(rows[i]);
    }
    done += batch->size;
  }
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
