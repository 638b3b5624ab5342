#include "compress/channel_rewrites.hpp"

#include <algorithm>
#include <iterator>

#include "compress/channel_rules.hpp"
#include "src/graph/axes.hpp"
#include "src/graph/node_inputs.hpp"

namespace pare {

bool ShrinkSite::keeps(const Axis& axis, int64_t index) const {
  return !removed[static_cast<size_t>(groups.units.find(groups.units.labels(axis)[static_cast<size_t>(index)]))];
}

int64_t ShrinkSite::kept_before(const Axis& axis, int64_t index) const {
  int64_t count = 0;
  for (int64_t i = 0; i < index; ++i) count += keeps(axis, i) ? 1 : 0;
  return count;
}

void ShrinkSite::set_constant(size_t input, Tensor tensor) {
  const ValueId id = graph.add_value("");
  Value& value = graph.value(id);
  value.dtype = tensor.dtype;
  value.shape = tensor.shape;
  value.constant = std::move(tensor);
  while (node.inputs.size() <= input) node.inputs.push_back(no_value);
  node.inputs[input] = id;
}

void ShrinkSite::replace_elements(size_t input, const std::map<int64_t, int64_t>& elements) {
  if (elements.empty()) return;
  const Value& value = graph.value(node.inputs[input]);
  const DType dtype = value.constant ? value.constant->dtype : value.dtype;
  const auto integer_tensor = [&](const std::vector<int64_t>& values) {
    const Shape shape{static_cast<int64_t>(values.size())};
    if (dtype != DType::int32) return Tensor::of<int64_t>(DType::int64, shape, values);
    return Tensor::of<int32_t>(DType::int32, shape, std::vector<int32_t>(values.begin(), values.end()));
  };
  if (value.constant) {
    std::vector<int64_t> values = to_int64(*value.constant);
    for (const auto& [index, element] : elements) values[static_cast<size_t>(index)] = element;
    set_constant(input, integer_tensor(values));
    return;
  }
  const auto count = static_cast<size_t>(groups.sized.value(node.inputs[input]).shape->front());
  std::vector<uint8_t> replaced(count, 0);
  std::vector<int64_t> values(count, 0);
  for (const auto& [index, element] : elements) {
    replaced[static_cast<size_t>(index)] = 1;
    values[static_cast<size_t>(index)] = element;
  }
  Node where;
  where.op = "Where";
  where.name = node.name + "_sizes_" + std::to_string(input);
  where.inputs = {no_value, no_value, node.inputs[input]};
  ShrinkSite inner{graph, where, groups, removed, otherwise, before};
  inner.set_constant(0, Tensor::of<uint8_t>(DType::boolean, {static_cast<int64_t>(count)}, replaced));
  inner.set_constant(1, integer_tensor(values));
  const ValueId result = graph.add_value("");
  graph.value(result).dtype = dtype;
  graph.value(result).shape = Shape{static_cast<int64_t>(count)};
  where.outputs = {result};
  node.inputs[input] = result;
  before.push_back(std::move(where));
}

namespace {

// New sizes of the output's axes where they change. A computed size that depends on sizes of the run follows by itself.
std::map<int64_t, int64_t> new_sizes(const ShrinkSite& site, size_t input) {
  std::map<int64_t, int64_t> sizes;
  const auto literal = constant_integers(site.graph, site.node, input);
  const auto& shape = site.otherwise.value(site.node.outputs[0]).shape;
  for (size_t k = 0; k < site.out().size(); ++k) {
    if (!site.changed(site.out()[k])) continue;
    const bool fixed = literal ? (*literal)[k] > 0 : shape && (*shape)[k] == site.out()[k].size;
    if (fixed) sizes[static_cast<int64_t>(k)] = site.kept(site.out()[k]);
  }
  return sizes;
}

void rewrite_reshape(ShrinkSite& site) {
  auto sizes = new_sizes(site, 1);
  // 0 takes the input's size at the same place, which may belong to other channels.
  const auto literal = constant_integers(site.graph, site.node, 1);
  if (literal && site.node.integer("allowzero", 0) == 0) {
    for (size_t k = 0; k < site.out().size(); ++k) {
      if ((*literal)[k] != 0 || k >= site.in(0).size()) continue;
      const int64_t kept = site.kept(site.out()[k]);
      if (kept != site.kept(site.in(0)[k])) sizes[static_cast<int64_t>(k)] = kept;
    }
  }
  site.replace_elements(1, sizes);
}

void rewrite_expand(ShrinkSite& site) {
  auto sizes = new_sizes(site, 1);
  const size_t offset = site.out().size() - site.in(0).size();
  for (auto& [axis, size] : sizes) {
    const auto k = static_cast<size_t>(axis);
    // 1 keeps what the input has.
    if (k >= offset && site.in(0)[k - offset].size == site.out()[k].size) size = 1;
  }
  // A target shorter than the output counts from its end.
  const auto& target = site.groups.sized.value(site.node.inputs[1]).shape;
  const auto missing = static_cast<int64_t>(site.out().size()) - (target && !target->empty() ? target->front() : 0);
  std::map<int64_t, int64_t> elements;
  for (const auto& [axis, size] : sizes)
    if (axis >= missing) elements[axis - missing] = size;
  site.replace_elements(1, elements);
}

void rewrite_constant_of_shape(ShrinkSite& site) { site.replace_elements(0, new_sizes(site, 0)); }

void rewrite_resize(ShrinkSite& site) {
  if (site.node.input(3) == no_value) return;
  std::vector<int64_t> axes(site.out().size());
  for (size_t k = 0; k < axes.size(); ++k) axes[k] = static_cast<int64_t>(k);
  axes = site.node.integers("axes", axes);
  std::map<int64_t, int64_t> sizes;
  for (size_t i = 0; i < axes.size(); ++i) {
    const Axis& axis = site.out()[axis_index(site.node, axes[i], site.out().size())];
    if (site.changed(axis)) sizes[static_cast<int64_t>(i)] = site.kept(axis);
  }
  site.replace_elements(3, sizes);
}

void rewrite_split(ShrinkSite& site) {
  const size_t axis = axis_index(site.node, site.node.integer("axis", 0), site.in(0).size());
  if (!site.changed(site.in(0)[axis])) return;
  std::vector<int64_t> sizes;
  for (size_t i = 0; i < site.node.outputs.size(); ++i) sizes.push_back(site.kept(site.out(i)[axis]));
  const Shape shape{static_cast<int64_t>(sizes.size())};
  site.set_constant(1, Tensor::of<int64_t>(DType::int64, shape, sizes));
  site.node.attributes.erase("num_outputs");
}

void rewrite_slice(ShrinkSite& site) {
  const Graph& sized = site.groups.sized;
  const auto starts = constant_integers(sized, site.node, 1);
  const auto axes = constant_integers(sized, site.node, 3);
  const auto steps = constant_integers(sized, site.node, 4);
  if (!starts) return;
  std::map<int64_t, int64_t> first, last;
  for (size_t i = 0; i < starts->size(); ++i) {
    const size_t k = axis_index(site.node, axes ? (*axes)[i] : static_cast<int64_t>(i), site.in(0).size());
    const Axis& axis = site.in(0)[k];
    if (!site.changed(axis)) continue;
    const int64_t step = steps ? (*steps)[i] : 1;
    const auto at = static_cast<int64_t>(i);
    const int64_t start = std::clamp<int64_t>((*starts)[i] < 0 ? (*starts)[i] + axis.size : (*starts)[i], 0, axis.size);
    if (step < 0) {
      first[at] = site.kept(axis) - 1;
    } else if (step > 1) {
      last[at] = site.kept(axis);
    } else {
      first[at] = site.kept_before(axis, start);
      last[at] = first[at] + site.kept(site.out()[k]);
    }
  }
  site.replace_elements(1, first);
  site.replace_elements(2, last);
}

void rewrite_gather(ShrinkSite& site) {
  const size_t k = axis_index(site.node, site.node.integer("axis", 0), site.in(0).size());
  const Axis& axis = site.in(0)[k];
  const auto indices = constant_integers(site.groups.sized, site.node, 1);
  if (!site.changed(axis) || !indices) return;
  std::vector<int64_t> places;
  for (int64_t index : *indices) {
    if (index < 0) index += axis.size;
    if (site.keeps(axis, index)) places.push_back(site.kept_before(axis, index));
  }
  Shape shape = *site.groups.sized.value(site.node.inputs[1]).shape;
  if (!shape.empty()) shape = {static_cast<int64_t>(places.size())};
  site.set_constant(1, Tensor::of<int64_t>(DType::int64, shape, places));
}

void rewrite_pad(ShrinkSite& site) {
  const auto pads = constant_integers(site.groups.sized, site.node, 1);
  const auto axes = constant_integers(site.groups.sized, site.node, 3);
  if (!pads) return;
  const auto count = static_cast<int64_t>(pads->size() / 2);
  std::map<int64_t, int64_t> elements;
  for (int64_t i = 0; i < count; ++i) {
    const size_t k = axis_index(site.node, axes ? (*axes)[static_cast<size_t>(i)] : i, site.in(0).size());
    const Axis& out = site.out()[k];
    const int64_t begin = (*pads)[static_cast<size_t>(i)];
    const int64_t end = (*pads)[static_cast<size_t>(i + count)];
    if (!site.changed(out) || (begin == 0 && end == 0)) continue;
    elements[i] = site.kept_before(out, begin);
    elements[i + count] = site.kept(out) - site.kept_before(out, out.size - end);
  }
  site.replace_elements(1, elements);
}

void rewrite_convolution(ShrinkSite& site) {
  const int64_t groups = site.node.integer("group", 1);
  const Axis& channels = site.in(0)[1];
  if (groups == 1 || !site.changed(channels) || !channel_rules::whole_groups(groups, channels.size / groups)) return;
  site.node.attributes["group"] = groups * site.kept(channels) / channels.size;
}

void rewrite_group_normalization(ShrinkSite& site) {
  const Axis& channels = site.in(0)[1];
  if (!site.changed(channels)) return;
  site.node.attributes["num_groups"] = site.node.integer("num_groups", 1) * site.kept(channels) / channels.size;
}

void rewrite_recurrent(ShrinkSite& site) {
  const Axis& hidden = site.in(2)[2];
  if (site.changed(hidden)) site.node.attributes["hidden_size"] = site.kept(hidden);
}

struct Rewrite {
  const char* op;
  void (*apply)(ShrinkSite&);
};

constexpr Rewrite rewrites[] = {
    {"ConstantOfShape", rewrite_constant_of_shape},
    {"Conv", rewrite_convolution},
    {"ConvTranspose", rewrite_convolution},
    {"Expand", rewrite_expand},
    {"GRU", rewrite_recurrent},
    {"Gather", rewrite_gather},
    {"GroupNormalization", rewrite_group_normalization},
    {"LSTM", rewrite_recurrent},
    {"Pad", rewrite_pad},
    {"RNN", rewrite_recurrent},
    {"Reshape", rewrite_reshape},
    {"Resize", rewrite_resize},
    {"Slice", rewrite_slice},
    {"Split", rewrite_split},
};

}  // namespace

void rewrite_node(ShrinkSite& site) {
  if (!site.node.domain.empty()) return;
  const auto found = std::find_if(std::begin(rewrites), std::end(rewrites),
                                  [&](const Rewrite& rewrite) { return site.node.op == rewrite.op; });
  if (found == std::end(rewrites)) return;
  const auto unranked = [&](ValueId id) { return id != no_value && !site.groups.sized.value(id).shape; };
  if (std::any_of(site.node.inputs.begin(), site.node.inputs.end(), unranked)) return;
  if (std::any_of(site.node.outputs.begin(), site.node.outputs.end(), unranked)) return;
  found->apply(site);
}

}  // namespace pare
