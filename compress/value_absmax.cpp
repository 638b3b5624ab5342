#include "compress/value_absmax.hpp"

#include <ATen/ops/zeros.h>

#include "kernels/range.hpp"

namespace pare {

ValueAbsmax::ValueAbsmax(const std::map<ValueId, int64_t>& axes) : axes_(axes) {
  for (const auto& [id, axis] : axes) {
    if (observation_.watched.size() <= static_cast<size_t>(id))
      observation_.watched.resize(static_cast<size_t>(id) + 1, false);
    observation_.watched[static_cast<size_t>(id)] = true;
  }
  observation_.seen = [this](ValueId id, const at::Tensor& value) { see(id, value); };
}

void ValueAbsmax::see(ValueId id, const at::Tensor& value) {
  const int64_t axis = axes_.at(id) < 0 ? axes_.at(id) + value.dim() : axes_.at(id);
  if (!value.is_floating_point() || axis < 0 || axis >= value.dim() || value.numel() == 0) return;
  const at::Tensor dense = value.detach().to(at::kFloat).contiguous();
  at::Tensor& largest = largest_[id];
  if (!largest.defined()) largest = at::zeros({dense.size(axis)}, dense.options());
  if (largest.numel() != dense.size(axis)) {
    axes_.erase(id);
    largest_.erase(id);
    observation_.watched[static_cast<size_t>(id)] = false;
    return;
  }
  const int64_t inner = axis + 1 < dense.dim() ? dense.stride(axis) : 1;
  kernels::observe_channel_absmax({dense.is_cuda(), nullptr},
                                  {dense.const_data_ptr(), kernels::FloatType::fp32, dense.numel()}, dense.size(axis),
                                  inner, largest.mutable_data_ptr<float>());
}

std::map<ValueId, std::vector<float>> ValueAbsmax::absmax() const {
  std::map<ValueId, std::vector<float>> result;
  for (const auto& [id, largest] : largest_) {
    const at::Tensor host = largest.to(at::kCPU);
    const float* values = host.const_data_ptr<float>();
    result[id].assign(values, values + host.numel());
  }
  return result;
}

}  // namespace pare
