#include "compress/mask_selection.hpp"

#include <limits>

#include <ATen/ops/empty.h>

#include "kernels/block_mask.hpp"
#include "kernels/mask.hpp"
#include "kernels/threshold.hpp"

namespace pare {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

kernels::Device kernel_device(const at::Tensor& tensor) {
  kernels::Device device;
  device.cuda = tensor.is_cuda();
  return device;
}

// A copy in the same memory layout (masked_fill itself would make it row-major) with `value` where `chosen` says.
at::Tensor filled(const at::Tensor& tensor, const at::Tensor& chosen, float value) {
  return tensor.clone().masked_fill_(chosen, value);
}

// masks = 0 for exactly the `count` smallest of `rankings`, else 1.
void mask_smallest(const std::vector<at::Tensor>& rankings, const std::vector<at::Tensor>& masks, int64_t count) {
  std::vector<kernels::ScoreView> views;
  std::vector<kernels::ScoreMask> targets;
  for (size_t i = 0; i < rankings.size(); ++i) {
    views.push_back({rankings[i].const_data_ptr<float>(), rankings[i].numel()});
    targets.push_back({rankings[i].const_data_ptr<float>(), masks[i].mutable_data_ptr<uint8_t>(), rankings[i].numel()});
  }
  const kernels::Device device = kernel_device(rankings.front());
  kernels::write_masks(device, targets, kernels::select_smallest(device, views, count));
}

std::vector<at::Tensor> masks_of(std::span<RankedWeight> weights) {
  std::vector<at::Tensor> masks;
  for (const RankedWeight& weight : weights) masks.push_back(weight.mask);
  return masks;
}

// A weight's matrices as blocks cut them: [batch] of [rows, columns], row-major.
struct Matrices {
  int64_t batch;
  kernels::BlockGrid grid;

  int64_t blocks() const { return batch * grid.down() * grid.across(); }
};

Matrices matrices_of(const RankedWeight& weight, const Pattern& pattern) {
  const kernels::AxisView& view = weight.layout.view;
  // Where the reduction runs down the stored matrix, a block's rows and columns change places.
  if (view.inner == 1) return {1, {view.outer, view.length, pattern.rows, pattern.columns}};
  return {view.outer, {view.length, view.inner, pattern.columns, pattern.rows}};
}

// The mean of each block of a row-major fp32 tensor.
at::Tensor block_means(const at::Tensor& values, const Matrices& matrices) {
  at::Tensor means = at::empty({matrices.batch, matrices.grid.down() * matrices.grid.across()}, values.options());
  for (int64_t b = 0; b < matrices.batch; ++b)
    kernels::score_blocks(kernel_device(values),
                          values.const_data_ptr<float>() + b * matrices.grid.rows * matrices.grid.columns,
                          matrices.grid, means.mutable_data_ptr<float>() + b * means.size(1));
  return means;
}

}  // namespace

void prune_smallest(std::span<RankedWeight> weights, int64_t pruned) {
  std::vector<at::Tensor> rankings;
  for (const RankedWeight& weight : weights) rankings.push_back(filled(weight.score, weight.mask.eq(0), -infinity));
  mask_smallest(rankings, masks_of(weights), pruned);
}

void exchange(std::span<RankedWeight> weights, const std::vector<at::Tensor>& growth, int64_t exchanged) {
  int64_t pruned = 0;
  for (const RankedWeight& weight : weights) pruned += weight.mask.eq(0).sum().item<int64_t>();
  prune_smallest(weights, pruned + exchanged);
  // What is kept ranks above everything, so that exactly `pruned` elements are pruned again.
  std::vector<at::Tensor> rankings;
  for (size_t i = 0; i < weights.size(); ++i) rankings.push_back(filled(growth[i], weights[i].mask.ne(0), infinity));
  mask_smallest(rankings, masks_of(weights), pruned);
}

void prune_neighbours(RankedWeight& weight, int n, int m) {
  const at::Tensor ranking = filled(weight.score, weight.mask.eq(0), -infinity).contiguous();
  const at::Tensor mask = at::empty(ranking.sizes(), weight.mask.options());
  kernels::write_nm_masks(kernel_device(ranking), ranking.const_data_ptr<float>(), weight.layout.view, n, m,
                          mask.mutable_data_ptr<uint8_t>());
  weight.mask.mul_(mask);
}

void prune_blocks(std::span<RankedWeight> weights, const Pattern& pattern, int64_t pruned) {
  std::vector<at::Tensor> rankings, block_masks;
  for (const RankedWeight& weight : weights) {
    const Matrices matrices = matrices_of(weight, pattern);
    const at::Tensor kept = block_means(weight.mask.to(at::kFloat).contiguous(), matrices);
    rankings.push_back(block_means(weight.score.contiguous(), matrices).masked_fill_(kept.eq(0), -infinity));
    block_masks.push_back(at::empty(rankings.back().sizes(), weight.mask.options()));
  }
  mask_smallest(rankings, block_masks, pruned);
  for (size_t i = 0; i < weights.size(); ++i) {
    const Matrices matrices = matrices_of(weights[i], pattern);
    const at::Tensor mask = at::empty(weights[i].mask.sizes(), weights[i].mask.options());
    for (int64_t b = 0; b < matrices.batch; ++b)
      kernels::spread_block_mask(kernel_device(mask),
                                 block_masks[i].const_data_ptr<uint8_t>() + b * block_masks[i].size(1), matrices.grid,
                                 mask.mutable_data_ptr<uint8_t>() + b * matrices.grid.rows * matrices.grid.columns);
    weights[i].mask.mul_(mask);
  }
}

int64_t count_blocks(const RankedWeight& weight, const Pattern& pattern) {
  return matrices_of(weight, pattern).blocks();
}

int64_t count_pruned_blocks(const RankedWeight& weight, const Pattern& pattern) {
  const at::Tensor kept = block_means(weight.mask.to(at::kFloat).contiguous(), matrices_of(weight, pattern));
  return kept.eq(0).sum().item<int64_t>();
}

}  // namespace pare
