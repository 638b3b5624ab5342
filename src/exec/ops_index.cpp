// Operators that pick, repeat or pad elements.
#include <algorithm>

#include <ATen/ExpandUtils.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/permute.h>
#include <ATen/ops/reshape.h>
#include <ATen/ops/slice.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/tile.h>
#include <ATen/ops/where.h>

#include "src/core/error.hpp"
#include "src/exec/ops.hpp"
#include "src/graph/axes.hpp"

namespace pare::ops {
namespace {

using Integers = std::vector<int64_t>;

// An integer input at run time, or `otherwise` when it is left out.
Integers integers_at(const Call& call, size_t input, const Integers& otherwise) {
  return input < call.in.size() && call.in[input].defined() ? integers_of(call.in[input]) : otherwise;
}

Integers counted(int64_t count) {
  Integers numbers(static_cast<size_t>(count));
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<int64_t>(i);
  return numbers;
}

int64_t from_end(int64_t axis, int64_t rank) { return axis < 0 ? axis + rank : axis; }

at::Tensor select(const at::Tensor& x, int64_t axis, const Integers& indices) {
  return at::index_select(x, axis, at::tensor(indices, at::TensorOptions().dtype(at::kLong)).to(x.device()));
}

// Indices counted from the end become indices from the start.
at::Tensor from_start(const at::Tensor& indices, int64_t size) {
  const at::Tensor wide = indices.to(at::kLong);
  return at::where(wide.lt(0), wide.add(size), wide);
}

// Slice of one axis: bounds beyond the ends are cut, negative ones count from the end. As in NumPy but for a start in
// front of the axis, from which a slice backwards takes the first element.
at::Tensor slice_axis(const at::Tensor& x, int64_t axis, int64_t start, int64_t end, int64_t step) {
  const int64_t size = x.size(axis);
  if (step > 0) return at::slice(x, axis, start, end, step);
  if (size == 0) return x;
  start = std::clamp<int64_t>(start < 0 ? start + size : start, 0, size - 1);
  end = std::clamp<int64_t>(end < 0 ? std::max(end, -size - 1) + size : end, -1, size - 1);
  Integers indices;
  for (int64_t i = start; i > end; i += step) indices.push_back(i);
  return select(x, axis, indices);
}

// Where output position i of a padded axis comes from, for the modes that repeat elements.
int64_t source_of(const std::string& mode, int64_t i, int64_t size) {
  if (mode == "edge") return std::clamp<int64_t>(i, 0, size - 1);
  if (mode == "wrap") return ((i % size) + size) % size;
  const int64_t period = std::max<int64_t>(1, 2 * (size - 1));  // reflect: without the edge twice
  const int64_t inside = ((i % period) + period) % period;
  return inside < size ? inside : period - inside;
}

at::Tensor padded(const at::Tensor& x, const std::string& mode, int64_t axis, int64_t begin, int64_t end,
                  double value) {
  if (mode == "constant") {
    Integers pads(static_cast<size_t>(2 * (x.dim() - axis)), 0);
    pads[pads.size() - 2] = begin;
    pads[pads.size() - 1] = end;
    return at::constant_pad_nd(x, pads, value);
  }
  Integers indices;
  for (int64_t i = -begin; i < x.size(axis) + end; ++i) indices.push_back(source_of(mode, i, x.size(axis)));
  return select(x, axis, indices);
}

}  // namespace

Step slice(const Site&) {
  return [](const Call& call) {
    at::Tensor x = call.in[0];
    const Integers starts = integers_of(call.in[1]);
    const Integers ends = integers_of(call.in[2]);
    const Integers axes = integers_at(call, 3, counted(static_cast<int64_t>(starts.size())));
    const Integers steps = integers_at(call, 4, Integers(starts.size(), 1));
    for (size_t i = 0; i < starts.size(); ++i)
      x = slice_axis(x, from_end(axes[i], x.dim()), starts[i], ends[i], steps[i]);
    call.out[0] = x;
  };
}

Step gather(const Site& site) {
  const int64_t declared = site.node.integer("axis", 0);
  return [declared](const Call& call) {
    const at::Tensor& x = call.in[0];
    const int64_t axis = from_end(declared, x.dim());
    const at::Tensor indices = from_start(call.in[1], x.size(axis)).to(x.device());
    Integers shape(x.sizes().begin(), x.sizes().begin() + axis);
    shape.insert(shape.end(), indices.sizes().begin(), indices.sizes().end());
    shape.insert(shape.end(), x.sizes().begin() + axis + 1, x.sizes().end());
    call.out[0] = at::reshape(at::index_select(x, axis, indices.reshape({-1})), shape);
  };
}

Step gather_elements(const Site& site) {
  const int64_t declared = site.node.integer("axis", 0);
  return [declared](const Call& call) {
    const at::Tensor& x = call.in[0];
    const int64_t axis = from_end(declared, x.dim());
    call.out[0] = at::gather(x, axis, from_start(call.in[1], x.size(axis)).to(x.device()));
  };
}

// Indices within [-depth, depth) get the on value at their place along a new axis, all else the off value.
Step one_hot(const Site& site) {
  const int64_t declared = site.node.integer("axis", -1);
  return [declared](const Call& call) {
    const int64_t depth = integers_of(call.in[1].reshape({-1})).at(0);
    const at::Tensor& values = call.in[2];
    const at::Tensor indices = from_start(call.in[0], depth).to(values.device());
    const int64_t axis = from_end(declared, indices.dim() + 1);
    Integers shape(static_cast<size_t>(indices.dim() + 1), 1);
    shape[static_cast<size_t>(axis)] = depth;
    const at::Tensor places = at::arange(depth, indices.options()).reshape(shape);
    call.out[0] = at::where(places.eq(indices.unsqueeze(axis)), values[1], values[0]);
  };
}

Step expand(const Site&) {
  return [](const Call& call) {
    const Integers shape = at::infer_size(call.in[0].sizes(), integers_of(call.in[1]));
    call.out[0] = call.in[0].expand(shape);
  };
}

Step tile(const Site&) {
  return [](const Call& call) { call.out[0] = at::tile(call.in[0], integers_of(call.in[1])); };
}

Step pad(const Site& site) {
  const std::string mode = site.node.text("mode", "constant");
  if (mode != "constant" && mode != "reflect" && mode != "edge" && mode != "wrap")
    fail_input("{}: mode '{}' is not supported", site.node.label(), mode);
  return [mode](const Call& call) {
    at::Tensor x = call.in[0];
    const Integers pads = integers_of(call.in[1]);
    const double value = call.in.size() > 2 && call.in[2].defined() ? call.in[2].item<double>() : 0.0;
    const Integers axes = integers_at(call, 3, counted(x.dim()));
    for (size_t i = 0; i < axes.size(); ++i)
      if (pads[i] != 0 || pads[i + axes.size()] != 0)
        x = padded(x, mode, from_end(axes[i], x.dim()), pads[i], pads[i + axes.size()], value);
    call.out[0] = x;
  };
}

Step depth_to_space(const Site& site) {
  const int64_t block = site.node.integer("blocksize", 1);
  const bool column_first = site.node.text("mode", "DCR") == "CRD";
  return [=](const Call& call) {
    const at::Tensor& x = call.in[0];
    const int64_t n = x.size(0), c = x.size(1) / (block * block), h = x.size(2), w = x.size(3);
    const at::Tensor parts = column_first ? at::permute(x.reshape({n, c, block, block, h, w}), {0, 1, 4, 2, 5, 3})
                                          : at::permute(x.reshape({n, block, block, c, h, w}), {0, 3, 4, 1, 5, 2});
    call.out[0] = at::reshape(parts, {n, c, h * block, w * block});
  };
}

Step space_to_depth(const Site& site) {
  const int64_t block = site.node.integer("blocksize", 1);
  const bool column_first = site.node.text("mode", "DCR") == "CRD";
  return [=](const Call& call) {
    const at::Tensor& x = call.in[0];
    const int64_t n = x.size(0), c = x.size(1), h = x.size(2) / block, w = x.size(3) / block;
    const at::Tensor parts = x.reshape({n, c, h, block, w, block});
    const at::Tensor moved =
        column_first ? at::permute(parts, {0, 1, 3, 5, 2, 4}) : at::permute(parts, {0, 3, 5, 1, 2, 4});
    call.out[0] = at::reshape(moved, {n, c * block * block, h, w});
  };
}

}  // namespace pare::ops
