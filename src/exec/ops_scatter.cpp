// Operators that write or read single elements by index, and that make tensors from sizes.
#include <ATen/ops/arange.h>
#include <ATen/ops/einsum.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/index.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/movedim.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/scatter.h>
#include <ATen/ops/scatter_reduce.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/split_with_sizes.h>
#include <ATen/ops/where.h>

#include "src/core/error.hpp"
#include "src/exec/ops.hpp"
#include "src/exec/tensors.hpp"
#include "src/graph/axes.hpp"

namespace pare::ops {
namespace {

int64_t from_end(int64_t axis, int64_t rank) { return axis < 0 ? axis + rank : axis; }

at::Tensor from_start(const at::Tensor& indices, int64_t size) {
  const at::Tensor wide = indices.to(at::kLong);
  return at::where(wide.lt(0), wide.add(size), wide);
}

// The last dimension of `indices` [..., k] as k index tensors into the dimensions from `first` of x.
c10::List<std::optional<at::Tensor>> index_list(const at::Tensor& x, const at::Tensor& indices, int64_t first) {
  c10::List<std::optional<at::Tensor>> list;
  for (int64_t i = 0; i < indices.size(-1); ++i)
    list.push_back(from_start(indices.select(-1, i), x.size(first + i)).to(x.device()));
  return list;
}

// The names that ATen has for ONNX's reductions; empty for plain replacement.
std::string reduction_name(const Node& node) {
  const std::string name = node.text("reduction", "none");
  if (name == "none") return "";
  if (name == "add") return "sum";
  if (name == "mul") return "prod";
  if (name == "max") return "amax";
  if (name == "min") return "amin";
  fail_input("{}: reduction '{}' is not supported", node.label(), name);
}

}  // namespace

Step split(const Site& site) {
  const int64_t declared = site.node.integer("axis", 0);
  return [declared](const Call& call) {
    const int64_t axis = from_end(declared, call.in[0].dim());
    const std::vector<int64_t> sizes = call.in.size() > 1 && call.in[1].defined()
                                           ? integers_of(call.in[1])
                                           : even_parts(call.in[0].size(axis), static_cast<int64_t>(call.out.size()));
    const std::vector<at::Tensor> parts = at::split_with_sizes(call.in[0], sizes, axis);
    for (size_t i = 0; i < call.out.size(); ++i) call.out[i] = parts.at(i);
  };
}

Step top_k(const Site& site) {
  const int64_t axis = site.node.integer("axis", -1);
  const bool largest = site.node.integer("largest", 1) != 0;
  return [=](const Call& call) {
    // Of equal values the one with the lower index comes first; ATen's topk leaves that open.
    const int64_t k = integers_of(call.in[1]).at(0);
    const auto [values, indices] = at::sort(call.in[0], true, axis, largest);
    call.out[0] = values.narrow(axis, 0, k);
    if (call.out.size() > 1) call.out[1] = indices.narrow(axis, 0, k);
  };
}

Step einsum(const Site& site) {
  const std::string equation = site.node.text("equation", "");
  return [equation](const Call& call) {
    call.out[0] = at::einsum(equation, at::TensorList(call.in.data(), call.in.size()));
  };
}

Step constant_of_shape(const Site& site) {
  at::Tensor value = at::full({1}, 0.0f);
  const auto given = site.node.attributes.find("value");
  if (given != site.node.attributes.end() && std::holds_alternative<Tensor>(given->second))
    value = to_aten(std::get<Tensor>(given->second));
  return [value](const Call& call) { call.out[0] = value.reshape({}).expand(integers_of(call.in[0])).contiguous(); };
}

Step range(const Site&) {
  return [](const Call& call) {
    const auto options = at::TensorOptions().dtype(call.in[0].scalar_type());
    const auto number = [&](size_t index) { return call.in[index].item<double>(); };
    // A limit in front of the start gives nothing; ATen refuses it.
    const bool none = number(2) > 0 ? number(1) <= number(0) : number(1) >= number(0);
    const at::Scalar limit = none ? call.in[0].item() : call.in[1].item();
    call.out[0] = at::arange(call.in[0].item(), limit, call.in[2].item(), options).to(call.in[0].device());
  };
}

Step non_zero(const Site&) {
  return [](const Call& call) { call.out[0] = at::nonzero(call.in[0]).t().contiguous(); };
}

Step gather_nd(const Site& site) {
  const int64_t batch = site.node.integer("batch_dims", 0);
  if (batch < 0 || batch > 1)
    fail_input("{}: batch_dims {} is not supported (expected 0 or 1)", site.node.label(), batch);
  return [batch](const Call& call) {
    const at::Tensor& x = call.in[0];
    c10::List<std::optional<at::Tensor>> list = index_list(x, call.in[1], batch);
    if (batch == 1) {
      // Each sample picks from itself.
      std::vector<int64_t> shape(static_cast<size_t>(call.in[1].dim() - 1), 1);
      shape[0] = x.size(0);
      c10::List<std::optional<at::Tensor>> with_samples;
      with_samples.push_back(at::arange(x.size(0), at::TensorOptions().dtype(at::kLong)).reshape(shape).to(x.device()));
      for (size_t i = 0; i < list.size(); ++i) with_samples.push_back(list.get(i));
      list = with_samples;
    }
    call.out[0] = at::index(x, list);
  };
}

Step scatter_nd(const Site& site) {
  const std::string reduction = reduction_name(site.node);
  return [=](const Call& call) {
    const at::Tensor& x = call.in[0];
    const at::Tensor& indices = call.in[1];
    // Every index names a slice of `inner` elements; as places in the flattened tensor any reduction applies.
    int64_t inner = x.numel();
    at::Tensor first = at::full({1}, 0, at::TensorOptions().dtype(at::kLong));
    for (int64_t i = 0; i < indices.size(-1); ++i) {
      inner /= x.size(i);
      first = first.add(from_start(indices.select(-1, i), x.size(i)).to(at::kCPU), inner);
    }
    const at::Tensor within = at::arange(inner, at::TensorOptions().dtype(at::kLong));
    const at::Tensor places = first.reshape({-1, 1}).add(within).reshape({-1}).to(x.device());
    const at::Tensor updates = call.in[2].reshape({-1});
    const at::Tensor flat = x.reshape({-1});
    call.out[0] = (reduction.empty() ? at::scatter(flat, 0, places, updates)
                                     : at::scatter_reduce(flat, 0, places, updates, reduction))
                      .reshape(x.sizes());
  };
}

Step scatter_elements(const Site& site) {
  const int64_t declared = site.node.integer("axis", 0);
  const std::string reduction = reduction_name(site.node);
  return [=](const Call& call) {
    const at::Tensor& x = call.in[0];
    const int64_t axis = from_end(declared, x.dim());
    const at::Tensor indices = from_start(call.in[1], x.size(axis)).to(x.device());
    call.out[0] = reduction.empty() ? at::scatter(x, axis, indices, call.in[2])
                                    : at::scatter_reduce(x, axis, indices, call.in[2], reduction);
  };
}

// The slices along the axis whose condition holds, which may be shorter than the axis; without an axis, of all elements
// in a row.
Step compress(const Site& site) {
  const bool flat = !site.node.has("axis");
  const int64_t axis = site.node.integer("axis", 0);
  return [=](const Call& call) {
    const at::Tensor x = flat ? call.in[0].flatten() : call.in[0];
    call.out[0] = at::index_select(x, axis, at::nonzero(call.in[1]).flatten().to(x.device()));
  };
}

// The first steps of each sequence backwards, as many as its length says; the others stay.
Step reverse_sequence(const Site& site) {
  const int64_t batch_axis = site.node.integer("batch_axis", 1), time_axis = site.node.integer("time_axis", 0);
  return [=](const Call& call) {
    const at::Tensor x = call.in[0].movedim({time_axis, batch_axis}, {0, 1});
    const at::Tensor lengths = call.in[1].to(x.device(), at::kLong).unsqueeze(0);
    const at::Tensor step = at::arange(x.size(0), lengths.options()).unsqueeze(1);
    const at::Tensor source = at::where(step.lt(lengths), lengths.sub(1).sub(step), step);  // [time, batch]
    std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
    shape[0] = x.size(0);
    shape[1] = x.size(1);
    const at::Tensor y = at::gather(x, 0, source.reshape(shape).expand(x.sizes()));
    call.out[0] = y.movedim({0, 1}, {time_axis, batch_axis});
  };
}

}  // namespace pare::ops
