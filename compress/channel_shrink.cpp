#include "compress/channel_shrink.hpp"

#include <algorithm>
#include <cstring>

#include "compress/channel_rewrites.hpp"
#include "src/core/error.hpp"
#include "src/graph/shape_rules.hpp"

namespace pare {
namespace {

std::vector<int64_t> kept_indices(const ChannelGroups& groups, const Axis& axis, const RemovedUnits& removed) {
  std::vector<int64_t> kept;
  const auto labels = groups.units.labels(axis);
  for (int64_t i = 0; i < axis.size; ++i)
    if (!removed[static_cast<size_t>(groups.units.find(labels[static_cast<size_t>(i)]))]) kept.push_back(i);
  return kept;
}

// A tensor seen along one axis: `outer` runs of `size` slices of `bytes`.
struct Slices {
  size_t outer = 1;
  size_t size = 1;
  size_t bytes = 1;

  Slices(const Tensor& tensor, size_t axis) : bytes(static_cast<size_t>(dtype_bits(tensor.dtype) / 8)) {
    for (size_t i = 0; i < axis; ++i) outer *= static_cast<size_t>(tensor.shape[i]);
    size = static_cast<size_t>(tensor.shape[axis]);
    for (size_t i = axis + 1; i < tensor.shape.size(); ++i) bytes *= static_cast<size_t>(tensor.shape[i]);
  }
};

Tensor take(const Tensor& tensor, size_t axis, const std::vector<int64_t>& indices) {
  const Slices slices(tensor, axis);
  Tensor result{tensor.dtype, tensor.shape, {}};
  result.shape[axis] = static_cast<int64_t>(indices.size());
  std::byte* target = nullptr;
  result.data = Bytes::allocate(slices.outer * indices.size() * slices.bytes, &target);
  for (size_t outer = 0; outer < slices.outer; ++outer) {
    for (const int64_t index : indices) {
      const size_t from = (outer * slices.size + static_cast<size_t>(index)) * slices.bytes;
      std::memcpy(target, tensor.data.data() + from, slices.bytes);
      target += slices.bytes;
    }
  }
  return result;
}

Tensor without(const Tensor& tensor, size_t axis, const std::vector<int64_t>& kept) {
  const Slices slices(tensor, axis);
  Tensor result{tensor.dtype, tensor.shape, {}};
  std::byte* target = nullptr;
  result.data = Bytes::allocate(tensor.data.size(), &target);
  for (size_t outer = 0; outer < slices.outer; ++outer) {
    for (const int64_t index : kept) {
      const size_t from = (outer * slices.size + static_cast<size_t>(index)) * slices.bytes;
      std::memcpy(target + from, tensor.data.data() + from, slices.bytes);
    }
  }
  return result;
}

// Calls change(tensor, axis, kept indices) for each axis of a constant that loses channels; `masked` alone: those whose
// slices are zero in the masked model.
template <class Change>
void change_constants(Graph& graph, const ChannelGroups& groups, const RemovedUnits& removed, bool masked,
                      Change change) {
  for (size_t i = 0; i < groups.axes.size(); ++i) {
    Value& value = graph.values[i];
    if (!value.constant) continue;
    for (size_t k = 0; k < groups.axes[i].size(); ++k) {
      const Axis& axis = groups.axes[i][k];
      if (!axis.labelled() || (masked && !axis.zero)) continue;
      const auto kept = kept_indices(groups, axis, removed);
      if (static_cast<int64_t>(kept.size()) == axis.size) continue;
      if (static_cast<int64_t>(value.constant->data.size()) != value.constant->byte_size())
        fail_input("tensor '{}': its data does not fit its shape", value.name);
      value.constant = change(*value.constant, k, kept);
      value.shape = value.constant->shape;
    }
  }
}

// Sizes that are the same here and in groups.sized do not depend on the inputs.
Graph with_other_sizes(const Graph& graph) {
  try {
    return with_sizes(graph, {}, {2, 96});
  } catch (const Error&) {
    // A model that such inputs do not fit: what is known without any.
    Graph sized = graph;
    infer_shapes(sized);
    return sized;
  }
}

}  // namespace

int64_t kept_size(const ChannelGroups& groups, const Axis& axis, const RemovedUnits& removed) {
  if (!axis.labelled()) return axis.size;
  int64_t kept = 0;
  for (const Unit label : groups.units.labels(axis))
    kept += removed[static_cast<size_t>(groups.units.find(label))] ? 0 : 1;
  return kept;
}

Graph shrink(const Graph& graph, const ChannelGroups& groups, const RemovedUnits& removed) {
  Graph result = graph;
  infer_shapes(result);
  const Graph otherwise = with_other_sizes(graph);
  std::vector<Node> nodes;
  for (Node& node : result.nodes) {
    ShrinkSite site{result, node, groups, removed, otherwise, nodes};
    rewrite_node(site);
    nodes.push_back(std::move(node));
  }
  result.nodes = std::move(nodes);
  change_constants(result, groups, removed, false, take);
  for (size_t i = 0; i < groups.axes.size(); ++i) {
    Value& value = result.values[i];
    if (value.constant) continue;
    const bool changed = std::any_of(groups.axes[i].begin(), groups.axes[i].end(), [&](const Axis& axis) {
      return axis.labelled() && kept_size(groups, axis, removed) != axis.size;
    });
    if (changed) value.shape.reset();
  }
  try {
    verify(result);
    infer_shapes(result);
  } catch (const Error& error) {
    fail_run("the shrunken graph is broken: {}", error.what());
  }
  return result;
}

Graph mask_channels(const Graph& graph, const ChannelGroups& groups, const RemovedUnits& removed) {
  Graph result = graph;
  change_constants(result, groups, removed, true, without);
  return result;
}

}  // namespace pare
