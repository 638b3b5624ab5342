#include "src/train/teacher.hpp"

#include <ATen/TensorOperators.h>

namespace pare {

std::vector<at::Tensor> LiveTeacher::outputs(const Batch&, std::span<const at::Tensor> inputs, int64_t) {
  const c10::AutoGradMode no_grad(false);
  std::vector<at::Tensor> mean = teachers_.front().executor->run(*teachers_.front().parameters, inputs, false);
  if (teachers_.size() == 1) return mean;
  for (at::Tensor& output : mean) output = output.to(at::kFloat);
  for (size_t i = 1; i < teachers_.size(); ++i) {
    const std::vector<at::Tensor> more = teachers_[i].executor->run(*teachers_[i].parameters, inputs, false);
    for (size_t j = 0; j < mean.size(); ++j) mean[j] = mean[j] + more[j];
  }
  for (at::Tensor& output : mean) output = output / static_cast<double>(teachers_.size());
  return mean;
}

}  // namespace pare
