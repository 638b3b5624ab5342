#include "compress/layer_rows.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/slice.h>

#include "src/core/error.hpp"
#include "src/graph/windows.hpp"

namespace pare {
namespace {

// Elements of the patches that are in memory at once.
constexpr int64_t patch_elements = int64_t{1} << 24;

// Every step-th of the tensor's places along `dim`, from the middle of the first step.
at::Tensor spaced(const at::Tensor& x, int64_t dim, int64_t step) {
  return step > 1 ? at::slice(x, dim, step / 2, std::nullopt, step) : x;
}

// Patches of x [N, C, s...] as [groups, N positions, C/groups k...]; about `most` positions of each sample, 0: all.
at::Tensor patches(const at::Tensor& x, const Windows& windows, int64_t groups, int64_t most) {
  const auto spatial = static_cast<int64_t>(windows.kernel.size());
  at::Tensor view = x;
  for (int64_t i = 0; i < spatial; ++i) {
    const auto at = static_cast<size_t>(i);
    const int64_t reach = windows.dilations[at] * (windows.kernel[at] - 1) + 1;
    view = view.unfold(2 + i, reach, windows.strides[at]);
    view = at::slice(view, view.dim() - 1, 0, std::nullopt, windows.dilations[at]);
  }
  if (most > 0) {
    double share = 1.0 / static_cast<double>(most);
    for (int64_t i = 0; i < spatial; ++i) share *= static_cast<double>(view.size(2 + i));
    for (int64_t i = 0; i < spatial; ++i) {
      const auto step = static_cast<int64_t>(std::pow(share, 1.0 / static_cast<double>(spatial - i)));
      if (step <= 1) continue;
      const int64_t before = view.size(2 + i);
      view = spaced(view, 2 + i, std::min(step, before));
      share *= static_cast<double>(view.size(2 + i)) / static_cast<double>(before);
    }
  }
  // [N, C, positions..., k...] -> [groups, N, positions..., C/groups, k...]
  std::vector<int64_t> sizes = view.sizes().vec();
  sizes[1] /= groups;
  sizes.insert(sizes.begin() + 1, groups);
  view = view.unflatten(1, {groups, sizes[2]});
  std::vector<int64_t> order = {1, 0};
  for (int64_t i = 0; i < spatial; ++i) order.push_back(3 + i);
  order.push_back(2);
  for (int64_t i = 0; i < spatial; ++i) order.push_back(3 + spatial + i);
  int64_t columns = sizes[2];
  for (const int64_t size : windows.kernel) columns *= size;
  return view.permute(order).reshape({groups, -1, columns});
}

void for_each_patches(const Node& node, const Shape& weight_shape, const at::Tensor& data,
                      const std::function<void(const at::Tensor&)>& take, int64_t most) {
  Windows windows = windows_of(node, {weight_shape.begin() + 2, weight_shape.end()});
  const std::vector<int64_t> sizes = data.sizes().slice(2).vec();
  windows.resolve_pads(sizes);
  std::vector<int64_t> pads;
  int64_t per_sample = data.size(1);
  for (size_t i = windows.kernel.size(); i-- > 0;) {
    pads.push_back(windows.pads_begin[i]);
    pads.push_back(windows.pads_end[i]);
    per_sample *= windows.kernel[i] * std::max<int64_t>(1, windows.output_size(i, sizes[i]));
  }
  const bool padded = std::any_of(pads.begin(), pads.end(), [](int64_t pad) { return pad != 0; });
  const int64_t step = std::max<int64_t>(1, patch_elements / std::max<int64_t>(1, per_sample));
  for (int64_t begin = 0; begin < data.size(0); begin += step) {
    const at::Tensor piece = at::slice(data, 0, begin, begin + step).to(at::kFloat);
    take(patches(padded ? at::constant_pad_nd(piece, pads, 0) : piece, windows, node.integer("group", 1), most));
  }
}

// x [..., n, K] as [groups, rows, K] for a weight with these batch dimensions.
at::Tensor batched_rows(const at::Tensor& x, const Shape& batch, const Node& node) {
  const int64_t columns = x.size(-1);
  int64_t groups = 1;
  for (const int64_t size : batch) groups *= size;
  if (groups == 1) return x.reshape({1, -1, columns});
  if (x.dim() == 2) return x.unsqueeze(0).expand({groups, x.size(0), columns});
  const auto shared = static_cast<int64_t>(batch.size());
  const int64_t ahead = x.dim() - 2 - shared;
  if (ahead < 0 || x.sizes().slice(static_cast<size_t>(ahead), batch.size()) != at::IntArrayRef(batch))
    fail_input("{}: its batch dimensions are broadcast, which is not supported here; leave it out with --exclude",
               node.label());
  std::vector<int64_t> order;
  for (int64_t i = 0; i < shared; ++i) order.push_back(ahead + i);
  for (int64_t i = 0; i < ahead; ++i) order.push_back(i);
  order.push_back(x.dim() - 2);
  order.push_back(x.dim() - 1);
  return x.permute(order).reshape({groups, -1, columns});
}

}  // namespace

at::Tensor weight_matrices(const WeightLayout& layout, const at::Tensor& weight) {
  const auto& [outer, length, inner] = layout.view;
  const at::Tensor rows = weight.contiguous();
  if (inner == 1) return rows.view({layout.groups, outer / layout.groups, length});
  return rows.view({layout.groups, outer / layout.groups, length, inner})
      .permute({0, 1, 3, 2})
      .reshape({layout.groups, layout.outputs(), length});
}

void set_weight_matrices(const WeightLayout& layout, const at::Tensor& matrices, const at::Tensor& weight) {
  const auto& [outer, length, inner] = layout.view;
  at::Tensor rows = matrices;
  if (inner != 1) rows = matrices.view({layout.groups, outer / layout.groups, inner, length}).permute({0, 1, 3, 2});
  weight.copy_(rows.reshape(weight.sizes()));
}

void for_each_rows(const WeightUse& use, const Shape& weight_shape, const at::Tensor& data,
                   const std::function<void(const at::Tensor& rows)>& take, int64_t most) {
  const Node& node = *use.node;
  if (node.op == "Conv") {
    for_each_patches(node, weight_shape, data, take, most);
    return;
  }
  if (node.op != "Gemm" && node.op != "MatMul")
    fail_input("{}: is no plain product of its input; leave its weights out with --exclude", node.label());
  at::Tensor x = data.to(at::kFloat);
  if (node.op == "Gemm" && node.integer("transA", 0) != 0) x = x.transpose(0, 1);
  if (node.op == "MatMul" && x.dim() == 1) x = x.unsqueeze(use.input);  // a vector: of one row, or one column
  if (node.op == "MatMul" && use.input == 0) x = x.transpose(-1, -2);
  const at::Tensor rows = batched_rows(x, {weight_shape.begin(), weight_shape.end() - 2}, node);
  take(most > 0 ? spaced(rows, 1, rows.size(1) / most) : rows);
}

}  // namespace pare
