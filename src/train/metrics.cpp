#include "src/train/metrics.hpp"

#include <algorithm>

#include <ATen/ops/argmax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/topk.h>

#include "src/core/error.hpp"
#include "src/train/loss.hpp"

namespace pare {

at::Tensor inputs_of(const Batch& batch, const Shape& sample_shape, at::Device device) {
  std::vector<int64_t> sizes{batch.size};
  sizes.insert(sizes.end(), sample_shape.begin(), sample_shape.end());
  if (sizes.size() != 4) return at::from_blob(batch.inputs.data(), sizes, at::kFloat).to(device);
  // One channel lies the same in both layouts, and only the strides say which is meant: with those of channels_last
  // every layer behind computes in that layout.
  if (sizes[1] == 1)
    return at::from_blob(batch.inputs.data(), sizes, {sizes[2] * sizes[3], 1, sizes[3], 1}, at::kFloat).to(device);
  return at::from_blob(batch.inputs.data(), sizes, at::kFloat).to(device).contiguous(at::MemoryFormat::ChannelsLast);
}

at::Tensor labels_of(const Batch& batch, at::Device device) {
  if (batch.labels.empty()) return {};
  return at::from_blob(batch.labels.data(), {batch.size}, at::kLong).to(device);
}

at::Tensor labels_of(const Dataset& dataset) {
  at::Tensor labels = at::empty({dataset.size()}, at::kLong);
  auto* target = labels.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < dataset.size(); ++i) target[i] = dataset.label(i);
  return labels;
}

std::vector<at::Tensor> predict(const Executor& executor, const Parameters& parameters, Loader& loader,
                                const Shape& sample_shape, at::Device device) {
  const c10::AutoGradMode no_grad(false);
  std::vector<std::vector<at::Tensor>> batches;  // by output
  loader.start(0);
  while (const Batch* batch = loader.next()) {
    const at::Tensor inputs = inputs_of(*batch, sample_shape, device);
    const std::vector<at::Tensor> outputs = executor.run(parameters, {&inputs, 1}, false);
    batches.resize(outputs.size());
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i].dim() == 0 || outputs[i].size(0) != batch->size)
        fail_input("output {} has no batch dimension (got shape {}, batch {})", i, shape_text(outputs[i].sizes().vec()),
                   batch->size);
      batches[i].push_back(outputs[i].to(at::kCPU).contiguous());
    }
  }
  std::vector<at::Tensor> whole;
  for (const auto& parts : batches) whole.push_back(at::cat(parts));
  return whole;
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
